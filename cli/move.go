package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

type moveCmd struct {
	Create moveCreateCmd `cmd:"" help:"Take devices to another hub as they register again, so many a minute."`
	List   moveListCmd   `cmd:"" help:"List the moves, the oldest first."`
	Show   moveShowCmd   `cmd:"" help:"Show a move and how far it is."`
	Watch  moveWatchCmd  `cmd:"" help:"Watch a move until it has ended."`
	Pause  movePauseCmd  `cmd:"" help:"Pause a move; its devices stay where they are."`
	Resume moveResumeCmd `cmd:"" help:"Have a paused move go on."`
	Pace   movePaceCmd   `cmd:"" help:"Give a move another pace."`
	Stop   moveStopCmd   `cmd:"" help:"End a move; its devices go where the policy says again."`
}

func moveColumns() []column[admin.Move] {
	number := func(n *int64) string {
		if n == nil {
			return ""
		}
		return count(*n)
	}
	return []column[admin.Move]{
		{"MOVE", func(m admin.Move) string { return show(m.Name) }},
		{"STATE", func(m admin.Move) string { return show(m.State) }},
		{"DEVICES", selectionText},
		{"TO", func(m admin.Move) string { return destinationText(m) }},
		{"PACE", func(m admin.Move) string { return fmt.Sprintf("%d/min", m.Pace) }},
		{"SELECTED", func(m admin.Move) string { return number(m.Selected) }},
		{"MOVED", func(m admin.Move) string { return number(m.Moved) }},
		{"ON THE WAY", func(m admin.Move) string { return number(m.OnTheWay) }},
		{"WAITING", func(m admin.Move) string { return number(m.Waiting) }},
		{"FAILED", func(m admin.Move) string { return number(m.Failed) }},
	}
}

func moveDetails() []column[admin.Move] {
	return append(moveColumns(),
		column[admin.Move]{"DATA", func(m admin.Move) string { return show(m.Data) }},
		column[admin.Move]{"INCLUDE NEVER", func(m admin.Move) string { return show(m.IncludeNever) }},
		column[admin.Move]{"CREATED", func(m admin.Move) string { return day(m.CreatedDateTimeUtc) }},
		column[admin.Move]{"BY", func(m admin.Move) string { return show(m.CreatedBy) }},
		column[admin.Move]{"ENDED", func(m admin.Move) string { return day(m.EndedDateTimeUtc) }},
	)
}

func selectionText(m admin.Move) string {
	var parts []string
	if m.Percent != nil {
		parts = append(parts, fmt.Sprintf("%d %%", *m.Percent))
	}
	if m.From != nil {
		parts = append(parts, "in "+strings.Join(*m.From, ", "))
	}
	for _, one := range []struct {
		of   *string
		text string
	}{{m.EnrollmentGroup, "of group "}, {m.IDPrefix, "beginning with "}, {m.RegistrationID, ""}} {
		if one.of != nil {
			parts = append(parts, one.text+*one.of)
		}
	}
	if len(parts) == 0 {
		return "all"
	}
	return strings.Join(parts, ", ")
}

func destinationText(m admin.Move) string {
	if m.To == nil {
		return "(as the policy says)"
	}
	return *m.To
}

type moveCreateCmd struct {
	Name         string   `arg:"" help:"Name of the move."`
	From         []string `placeholder:"HUB" help:"Only devices in this hub; may be repeated."`
	Group        string   `help:"Only devices that come by this enrollment group."`
	ID           string   `name:"registration-id" placeholder:"ID" help:"Only this device."`
	IDPrefix     string   `name:"id-prefix" placeholder:"TEXT" help:"Only registration IDs that begin so."`
	Percent      *int     `placeholder:"N" help:"So many of these, by a hash of the registration ID. Default: all."`
	To           string   `placeholder:"HUB" help:"Where they go; without it, as the allocation policy says when they go."`
	Data         string   `enum:",migrate,reset" default:"" help:"migrate or reset; without it, as the enrollment says."`
	IncludeNever bool     `help:"Move devices, too, whose reprovision policy is never."`
	Pace         int      `required:"" placeholder:"N" help:"Devices a minute."`
	Paused       bool     `help:"Begin paused: the devices stay where they are, whatever the policy says."`
	scopeFlags
}

// Help shows how.
func (moveCreateCmd) Help() string {
	return "While a move lasts, the devices that it selects, of those that registered before, stay where they are unless it moves them; " +
		"so create it first, then change weights. Where several moves select a device, the oldest counts.\n" +
		"Examples:\n  dps allocation move create spring --from old.example --to new.example --pace 600\n" +
		"  dps allocation move create tenth --percent 10 --pace 60 --paused"
}

// Run creates.
func (c moveCreateCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m := admin.Move{Pace: c.Pace}
	for _, one := range []struct {
		given string
		to    **string
	}{{c.Group, &m.EnrollmentGroup}, {c.ID, &m.RegistrationID}, {c.IDPrefix, &m.IDPrefix}, {c.To, &m.To}, {c.Data, &m.Data}} {
		if one.given != "" {
			*one.to = &one.given
		}
	}
	if len(c.From) > 0 {
		m.From = &c.From
	}
	if c.Percent != nil {
		m.Percent = c.Percent
	}
	if c.IncludeNever {
		m.IncludeNever = &c.IncludeNever
	}
	if c.Paused {
		m.State = new("paused")
	}
	made, err := a.CreateMove(ctx, scope, c.Name, m)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, made, moveDetails())
}

type moveListCmd struct{ scopeFlags }

// Run lists.
func (c moveListCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	list, err := a.Moves(ctx, scope)
	if err != nil {
		return err
	}
	return printList(env, c.Output, list, moveColumns())
}

// moveFlags name a move.
type moveFlags struct {
	Name string `arg:"" help:"Name of the move."`
	scopeFlags
}

type moveShowCmd struct{ moveFlags }

// Run shows one.
func (c moveShowCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := a.Move(ctx, scope, c.Name)
	if err != nil {
		return err
	}
	return printOne(env, c.Output, m, moveDetails())
}

// change sets what is given, and shows the move.
func (f moveFlags) change(ctx context.Context, env *Env, change admin.MoveChange) error {
	a, scope, err := f.in(ctx, env)
	if err != nil {
		return err
	}
	m, err := a.ChangeMove(ctx, scope, f.Name, change)
	if err != nil {
		return err
	}
	return printOne(env, f.Output, m, moveDetails())
}

type movePauseCmd struct{ moveFlags }

// Run pauses.
func (c movePauseCmd) Run(ctx context.Context, env *Env) error {
	return c.change(ctx, env, admin.MoveChange{State: new("paused")})
}

type moveResumeCmd struct{ moveFlags }

// Run has it go on.
func (c moveResumeCmd) Run(ctx context.Context, env *Env) error {
	return c.change(ctx, env, admin.MoveChange{State: new("running")})
}

type moveStopCmd struct{ moveFlags }

// Run stops.
func (c moveStopCmd) Run(ctx context.Context, env *Env) error {
	return c.change(ctx, env, admin.MoveChange{State: new("stopped")})
}

type movePaceCmd struct {
	Name string `arg:"" help:"Name of the move."`
	Pace int    `arg:"" help:"Devices a minute."`
	scopeFlags
}

// Run sets the pace.
func (c movePaceCmd) Run(ctx context.Context, env *Env) error {
	return moveFlags{c.Name, c.scopeFlags}.change(ctx, env, admin.MoveChange{Pace: &c.Pace})
}

type moveWatchCmd struct {
	moveFlags

	Interval time.Duration `default:"2s" help:"How often to ask."`
}

// Run shows how far the move is until it has ended; where nobody sees a bar, a line
// whenever something has changed.
func (c moveWatchCmd) Run(ctx context.Context, env *Env) error {
	a, scope, err := c.in(ctx, env)
	if err != nil {
		return err
	}
	tick := time.NewTicker(max(c.Interval, 100*time.Millisecond))
	defer tick.Stop()
	w := newMoveMeter(env)
	for {
		m, err := a.Move(ctx, scope, c.Name)
		if err != nil {
			return err
		}
		w.show(m)
		if m.EndedDateTimeUtc != nil {
			w.end()
			return printOne(env, c.Output, m, moveDetails())
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// moveMeter shows how far a move got, at which rate, and when it will be done.
type moveMeter struct {
	env  *Env
	bar  *progressbar.ProgressBar // nil: nobody sees it
	last string
}

func newMoveMeter(env *Env) *moveMeter {
	m := &moveMeter{env: env}
	if isTerminal(env.Stderr) {
		m.bar = progressbar.NewOptions64(-1, progressbar.OptionSetWriter(env.Stderr), progressbar.OptionSetPredictTime(true),
			progressbar.OptionShowIts(), progressbar.OptionShowCount(), progressbar.OptionSetItsString("devices"), progressbar.OptionClearOnFinish())
	}
	return m
}

func (w *moveMeter) show(m admin.Move) {
	text := fmt.Sprintf("%s: %d moved", show(m.State), *m.Moved)
	if m.Selected != nil {
		text += fmt.Sprintf(" of %d", *m.Selected)
	}
	text += fmt.Sprintf(", %d on the way, %d failed", *m.OnTheWay, *m.Failed)
	if w.bar == nil {
		if text != w.last {
			say(w.env.Stderr, "%s", text)
		}
		w.last = text
		return
	}
	if m.Selected != nil {
		w.bar.ChangeMax64(max(1, *m.Selected))
	}
	w.bar.Describe(text)
	_ = w.bar.Set64(*m.Moved) // a bar that can't be drawn harms nobody
}

func (w *moveMeter) end() {
	if w.bar != nil {
		_ = w.bar.Finish()
	}
}
