package cli

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/zerotouch-dps/dps/client"
)

type eventCmd struct {
	Tail eventTailCmd `cmd:"" help:"Show lifecycle events, the oldest first, one to a line."`
}

type eventTailCmd struct {
	Follow       bool     `short:"f" help:"Wait for further events; go on where it was when the connection breaks."`
	After        string   `placeholder:"CURSOR" help:"Begin after the event that bears this cursor, or with now. Default: the oldest event that is kept."`
	Kind         []string `placeholder:"KIND" help:"Only registered, reassigned, failed, refused, withdrawn, removed or forgotten; repeat for several."`
	Registration string   `placeholder:"ID" help:"Only those of a device."`
	scopeFlags
}

// Help shows how.
func (eventTailCmd) Help() string {
	return "A scope keeps events once it has a hook, or after: dps scope update ID --events\n" +
		"Each line is a CloudEvent in JSON; its member cursor is what --after takes.\n" +
		"Example:\n  dps event tail --follow --after now --kind failed | jq -r '[.time, .subject, .data.errorMessage] | @tsv'"
}

// maxTailPause bounds the pause before a stream that broke is opened again.
const maxTailPause = 10 * time.Second

// Run shows events.
func (c eventTailCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	o := client.EventOptions{After: c.After, Kinds: c.Kind, Registration: c.Registration, Follow: c.Follow}
	for pause := time.Second; ; pause = min(2*pause, maxTailPause) {
		err := a.Events(ctx, scope, &o, func(line []byte) error {
			pause = time.Second
			_, err := env.Stdout.Write(append(line, '\n'))
			if err != nil {
				return usageError{err.Error()}
			}
			return nil
		})
		if !c.Follow || ctx.Err() != nil || final(err) {
			return err
		}
		if err != nil {
			say(env.Stderr, "dps: %v; trying again", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// final tells errors that trying again does not mend.
func final(err error) bool {
	if _, ours := errors.AsType[usageError](err); ours {
		return true
	}
	refused, ok := errors.AsType[*client.Error](err)
	return ok && refused.Status < http.StatusInternalServerError && refused.Status != http.StatusTooManyRequests
}
