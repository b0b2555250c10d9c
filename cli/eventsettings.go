package cli

import (
	"fmt"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// eventFlags say whether a scope keeps lifecycle events.
type eventFlags struct {
	Events     *bool `negatable:"" help:"Keep lifecycle events; the first hook of a scope sets it."`
	EventHours *int  `placeholder:"HOURS" help:"For how long events are kept that hooks have had. Default: 72."`
	EventCount *int  `placeholder:"N" help:"How many events are kept at most, whether hooks have had them or not. Default: 1000000."`
}

// events returns the settings over those that are stored; nil: none is given.
func (f eventFlags) events(stored *admin.EventSettings) *admin.EventSettings {
	if f.Events == nil && f.EventHours == nil && f.EventCount == nil {
		return nil
	}
	m := admin.EventSettings{}
	if stored != nil {
		m = *stored
	}
	for _, one := range []struct{ from, to **int }{{&f.EventHours, &m.RetentionHours}, {&f.EventCount, &m.MaxCount}} {
		if *one.from != nil {
			*one.to = *one.from
		}
	}
	if f.Events != nil {
		m.Keep = f.Events
	}
	return &m
}

func eventsText(e *admin.EventSettings) string {
	if e == nil || e.Keep == nil || !*e.Keep {
		return ""
	}
	hours, count := 72, 1_000_000
	if e.RetentionHours != nil {
		hours = *e.RetentionHours
	}
	if e.MaxCount != nil {
		count = *e.MaxCount
	}
	return fmt.Sprintf("%d hours, at most %d", hours, count)
}
