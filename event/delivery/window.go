package delivery

import (
	"time"

	"github.com/zerotouch-dps/dps/event"
)

// maxWindow bounds the events that are read ahead of the first that is not done.
const maxWindow = 1024

// item is an event on its way.
type item struct {
	event   event.Event
	tries   int
	failing time.Time // since when; zero: it has not failed
	next    time.Time // when to try it again
	done    bool
}

// window is the events between what is done and what was read. The first of each device
// may be sent; the others wait for it.
type window struct {
	read    int64   // position up to which the stream was read
	items   []*item // in the stream's order
	devices map[string][]*item
	ready   []*item
	delayed []*item
}

func newWindow(position int64) *window {
	return &window{read: position, devices: map[string][]*item{}}
}

func (w *window) room() int { return maxWindow - len(w.items) }

// add takes what was read.
func (w *window) add(p event.Page) {
	w.read = p.Through
	for i := range p.Events {
		it := &item{event: p.Events[i]}
		key := it.event.Registration.Fold()
		w.items = append(w.items, it)
		if w.devices[key] = append(w.devices[key], it); len(w.devices[key]) == 1 {
			w.ready = append(w.ready, it)
		}
	}
}

// take returns an event to send; nil: there is none now.
func (w *window) take(now time.Time) *item {
	w.due(now)
	if len(w.ready) == 0 {
		return nil
	}
	it := w.ready[0]
	w.ready = w.ready[1:]
	return it
}

// due moves what is to be tried again now to what is ready.
func (w *window) due(now time.Time) {
	rest := w.delayed[:0]
	for _, it := range w.delayed {
		if it.next.After(now) {
			rest = append(rest, it)
		} else {
			w.ready = append(w.ready, it)
		}
	}
	clear(w.delayed[len(rest):])
	w.delayed = rest
}

// delay has an event tried again later.
func (w *window) delay(it *item, until time.Time) {
	it.next = until
	w.delayed = append(w.delayed, it)
}

// hasten has everything tried again now.
func (w *window) hasten(now time.Time) {
	for _, it := range w.delayed {
		it.next = now
	}
}

// finish is called when an event is delivered or set aside: the next one of its device may
// go.
func (w *window) finish(it *item) {
	it.done = true
	key := it.event.Registration.Fold()
	if rest := w.devices[key][1:]; len(rest) == 0 {
		delete(w.devices, key)
	} else {
		w.devices[key] = rest
		w.ready = append(w.ready, rest[0])
	}
	n := 0
	for n < len(w.items) && w.items[n].done {
		n++
	}
	clear(w.items[:n])
	w.items = w.items[n:]
}

// position is up to where everything is done.
func (w *window) position() int64 {
	if len(w.items) == 0 {
		return w.read
	}
	return w.items[0].event.Cursor.Position - 1
}

// soonest is when the next delayed event is due; zero: none is delayed.
func (w *window) soonest() time.Time {
	var at time.Time
	for _, it := range w.delayed {
		if at.IsZero() || it.next.Before(at) {
			at = it.next
		}
	}
	return at
}
