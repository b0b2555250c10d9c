package adminapi

import (
	"bufio"
	"context"
	"net/http"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
	"github.com/zerotouch-dps/dps/internal/restserver"
	"github.com/zerotouch-dps/dps/management"
	"github.com/zerotouch-dps/dps/openapi/admin"
)

// maxFollowers bounds the streams of events that are open at once: each holds a connection
// and a page of events.
const maxFollowers = 64

// StreamEvents streams lifecycle events.
func (a *api) StreamEvents(ctx context.Context, r admin.StreamEventsRequestObject) (admin.StreamEventsResponseObject, error) {
	kinds, err := event.ParseKinds("kind", value(r.Params.Kind))
	if err != nil {
		return nil, err
	}
	return &following{a: a, ctx: ctx, scope: dps.IDScope(r.IDScope), q: management.EventQuery{
		After: value(r.Params.After), Kinds: kinds, Registration: dps.RegistrationID(value(r.Params.RegistrationID)), Follow: value(r.Params.Follow),
	}}, nil
}

// following is a stream of events whose answer is written as they happen.
type following struct {
	a     *api
	ctx   context.Context //nolint:containedctx // of the request, which the generated interface does not hand on
	scope dps.IDScope
	q     management.EventQuery
}

// VisitStreamEventsResponse implements admin.StreamEventsResponseObject. Once something was
// sent, an error can only cut the answer off.
func (f *following) VisitStreamEventsResponse(w http.ResponseWriter) error {
	select {
	case f.a.followers <- struct{}{}:
		defer func() { <-f.a.followers }()
	default:
		return dps.Errorf(dps.Throttled, "%d streams of events are open already", maxFollowers)
	}
	s, ctx := openStream(f.ctx, w, http.NoBody)
	defer s.close()
	sent := &counted{stream: s}
	err := f.write(ctx, w, sent)
	if err != nil && sent.n > 0 {
		restserver.ExchangeOf(f.ctx).Err = err
		panic(http.ErrAbortHandler) // what net/http takes as the word for it
	}
	return err
}

func (f *following) write(ctx context.Context, w http.ResponseWriter, sent *counted) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	out := bufio.NewWriterSize(sent, 64<<10)
	paused := false
	err := f.a.c.Management.Events(ctx, callerOf(f.ctx), f.scope, f.q, management.EventSink{
		Begin: func(c event.Cursor) {
			if c.Stream != "" {
				w.Header().Set("Dps-Cursor", c.String())
			}
		},
		Event: func(e *event.Event) error {
			paused = false
			line, err := event.Encode(e)
			if err != nil {
				return err
			}
			_, err = out.Write(append(line, '\n'))
			return err
		},
		Pause: func() error {
			if paused || f.q.Follow && sent.n == 0 && out.Buffered() == 0 { // an empty line shows that the stream stands
				if err := out.WriteByte('\n'); err != nil {
					return err
				}
			}
			paused = true
			if err := out.Flush(); err != nil {
				return err
			}
			return sent.rc.Flush()
		},
	})
	if err != nil {
		return err
	}
	return out.Flush()
}
