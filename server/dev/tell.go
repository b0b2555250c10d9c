package dev

import (
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/zerotouch-dps/dps/hubemulator"
)

// teller says in plain words what devices do at the hubs: the first events, then one a
// second.
type teller struct {
	say     func(string)
	some    rate.Sometimes
	skipped atomic.Int64
}

const firstEvents = 20

func newTeller(say func(string)) *teller {
	return &teller{say: say, some: rate.Sometimes{First: firstEvents, Interval: time.Second}}
}

// observer returns what tells of one hub; nil: nobody listens.
func (t *teller) observer(host string) func(hubemulator.Event) {
	if t.say == nil {
		return nil
	}
	return func(e hubemulator.Event) {
		t.skipped.Add(1)
		t.some.Do(func() {
			line := fmt.Sprintf("hub %s: device %q %s", host, e.DeviceID, phrase(e))
			if more := t.skipped.Swap(0) - 1; more > 0 {
				line += fmt.Sprintf(" (and %d more events since the last line)", more)
			}
			t.say(line)
		})
	}
}

func phrase(e hubemulator.Event) string {
	switch e.Kind {
	case hubemulator.DeviceConnected:
		return "connected over " + e.Transport
	case hubemulator.DeviceSaid:
		return "sent a message of " + e.Detail
	case hubemulator.DeviceRefused:
		return "was refused: " + e.Detail
	case hubemulator.DeviceLeft:
		if e.Detail != "" {
			return "left: " + e.Detail
		}
	}
	return "left"
}
