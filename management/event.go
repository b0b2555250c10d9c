package management

import (
	"context"
	"time"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/event"
)

const (
	// eventPage bounds the events of a stream that are held in memory at once.
	eventPage = 256
	// aliveEvery is how often whoever follows a stream is shown that it goes on.
	aliveEvery = 15 * time.Second
	// FromNow is the cursor of what happens from now on.
	FromNow = "now"
)

// EventQuery picks events of a scope's stream.
type EventQuery struct {
	After        string // a cursor, or [FromNow]; empty: from the oldest that is kept
	Kinds        []event.Kind
	Registration dps.RegistrationID
	Follow       bool // wait for further ones
}

// EventSink takes a stream of events.
type EventSink struct {
	// Begin is called first, with where the stream begins for the reader.
	Begin func(c event.Cursor)
	// Event is called for each.
	Event func(e *event.Event) error
	// Pause is called when there are no more for now, and now and then while there are none.
	Pause func() error
}

// Events hands the events of a scope to a sink, in their order, until there are no more or,
// following, until ctx ends or the server shuts down. Errors: [dps.NotFound],
// [dps.InvalidArgument] (the cursor), the sink's, and those of a caller below [RoleViewer].
func (s *Service) Events(ctx context.Context, c Caller, id dps.IDScope, q EventQuery, sink EventSink) error {
	if err := c.Demand(id, RoleViewer); err != nil {
		return err
	}
	if _, err := s.d.Scopes.Get(ctx, id); err != nil {
		return err
	}
	stream, err := s.d.Feed.Latest(ctx, id)
	if err != nil {
		return err
	}
	at := event.Query{Kinds: q.Kinds, Registration: q.Registration, Limit: eventPage}
	if at.After, err = startOf(stream, q.After); err != nil {
		return err
	}
	sink.Begin(event.Cursor{Stream: stream.ID, Position: at.After})
	for fresh := q.After == ""; ; fresh = false {
		if err := s.readOn(ctx, stream, &at, fresh, sink); err != nil || !q.Follow {
			return err
		}
		if stream, err = s.await(ctx, id, stream, sink); err != nil || stream.Scope == "" {
			return err
		}
	}
}

func startOf(s event.Stream, after string) (int64, error) {
	switch after {
	case "":
		return s.Tail, nil
	case FromNow:
		return s.Head, nil
	}
	c, err := event.ParseCursor(after)
	if err != nil {
		return 0, err
	}
	return c.Position, s.Check(c)
}

// readOn hands over what the stream holds. Who is fresh begins with what is left.
func (s *Service) readOn(ctx context.Context, stream event.Stream, at *event.Query, fresh bool, sink EventSink) error {
	for ; at.After < stream.Head; fresh = false {
		page, err := s.d.Events.Events(ctx, stream, *at)
		if err != nil {
			return err
		}
		if page.Gap && !fresh {
			return event.Expired()
		}
		for i := range page.Events {
			if err := sink.Event(&page.Events[i]); err != nil {
				return err
			}
		}
		at.After = page.Through
	}
	return sink.Pause()
}

// await returns the stream when it has grown; without a scope when there is no use in
// waiting. A stream that was pruned beyond its reader, or begun anew, ends for it.
func (s *Service) await(ctx context.Context, id dps.IDScope, was event.Stream, sink EventSink) (event.Stream, error) {
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		now, more := s.d.Feed.Stream(id)
		switch {
		case was.ID != "" && now.ID != was.ID || now.Tail > was.Head:
			return event.Stream{}, nil
		case now.Head > was.Head:
			return now, nil
		}
		select {
		case <-more:
		case <-alive.C:
			if err := sink.Pause(); err != nil {
				return event.Stream{}, err
			}
		case <-s.d.Feed.Released():
			return event.Stream{}, nil
		case <-ctx.Done():
			return event.Stream{}, nil
		}
	}
}

// EventBounds returns how many events of each scope are kept.
func (s *Service) EventBounds(ctx context.Context, now time.Time) ([]event.Bound, error) {
	scopes, err := s.d.Scopes.List(ctx)
	out := make([]event.Bound, len(scopes))
	for i, sc := range scopes {
		out[i] = event.Bound{Scope: sc.ID, Before: now.Add(-sc.Events.Age()), Max: sc.Events.Bound()}
	}
	return out, err
}
