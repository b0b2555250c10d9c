package registration_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/peer"
	"github.com/zerotouch-dps/dps/registration"
)

// sending adds a payload to a request.
func sending(req registration.Request, payload string) registration.Request {
	req.Payload = json.RawMessage(payload)
	return req
}

func TestARuleNarrowsTheHubs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ rule, payload, hub, failure string }{
		"by payload":           {`{"e": "` + east + `", "w": "` + west + `"}[payload.side] == hub.name`, `{"side":"w"}`, west, ""},
		"by the other payload": {`{"e": "` + east + `", "w": "` + west + `"}[payload.side] == hub.name`, `{"side":"e"}`, east, ""},
		"by ID":                {`device.id == "dev-1" && hub.name == "` + west + `"`, "", west, ""},
		"by address":           {`(device.address == "10.3.0.9") == (hub.name == "` + west + `")`, "", west, ""},
		"by enrollment":        {`enrollment.id == "dev-1" && !enrollment.group && hub.name == "` + west + `"`, "", west, ""},
		"none left":            {`false`, "", "", "leaves none"},
		"payload lacks it":     {`payload.side == "w"`, `{"other":1}`, "", "no such key: side"},
		"no payload":           {`payload.side == "w"`, "", "", "no such key: side"},
		"payload is no object": {`payload.side == "w"`, `[1]`, "", "leaves none"},
		"payload is null":      {`has(payload.side) || hub.name == "` + east + `"`, `null`, east, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, options{hubs: []string{east, west}})
			e := keyed("dev-1", key("a"))
			e.Rule = c.rule
			w.individual(e)
			req := sending(w.signed("Dev-1", key("a")), c.payload)
			if c.payload == "" {
				req.Payload = nil
			}
			req.Origin = peer.Origin{Addr: netip.MustParseAddr("10.3.0.9")}
			foreseen, err := w.registrar.Explain(w.ctx, &req)
			w.need(err)
			reg := w.register(req)
			if reg.Assignment.Hub != c.hub || foreseen.Hub != c.hub {
				t.Errorf("in %q, foreseen %q, want %q", reg.Assignment.Hub, foreseen.Hub, c.hub)
			}
			if op := reg.Operation; c.failure != "" && (op.Status != registration.Failed || !strings.Contains(op.ErrorMessage, c.failure)) {
				t.Errorf("%s: %s", op.Status, op.ErrorMessage)
			}
			if why := string(reg.Operation.Decision); !strings.Contains(why, `"rule":{"out":[`) {
				t.Errorf("the decision does not say what the rule left out: %s", why)
			}
		})
	}
}

// TestARuleMovesAtTheNextRegistration: a rule changed narrows again; a device that may
// never move stays.
func TestARuleMovesAtTheNextRegistration(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	e := keyed("dev-1", key("a"))
	e.Rule = `hub.name == "` + east + `"`
	w.individual(e)
	w.assigned(w.signed("dev-1", key("a")))
	e.Rule = `hub.name == "` + west + `"`
	w.individual(e)
	if at := w.assigned(w.signed("dev-1", key("a"))); at.Hub != west {
		t.Errorf("in %s", at.Hub)
	}
	e.Rule, e.Reprovision = `hub.name == "`+east+`"`, &enrollment.ReprovisionPolicy{}
	w.individual(e)
	if at := w.assigned(w.signed("dev-1", key("a"))); at.Hub != west {
		t.Errorf("moved to %s", at.Hub)
	}
}

// TestARuleHoldsWhenAHubIsFull: the choice after a full hub is made without the device's
// request, and must not go where the rule forbids.
func TestARuleHoldsWhenAHubIsFull(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{hubs: []string{east, west}})
	e := keyed("dev-1", key("a"))
	e.Rule = `payload.side == "e" && hub.name == "` + east + `"`
	w.individual(e)
	w.hubs[east].FailNext(1000, dps.HubFull)
	reg := w.register(sending(w.signed("dev-1", key("a")), `{"side":"e"}`))
	if op := reg.Operation; op.Status == registration.Assigned && reg.Assignment.Hub == west {
		t.Errorf("it is where the rule forbids: %s", op.Decision)
	}
	if made := w.hubs[west].DeviceIDs(); len(made) > 0 {
		t.Errorf("it was made where the rule forbids: %v", made)
	}
}

// TestARuleHoldsWithoutItsRecord: what a rule left out may be too much to be kept; then
// nothing else is chosen.
func TestARuleHoldsWithoutItsRecord(t *testing.T) {
	t.Parallel()
	hubs := []string{east}
	for n := range 40 {
		hubs = append(hubs, fmt.Sprintf("%s-%02d.example", strings.Repeat("long", 14), n))
	}
	w := newWorld(t, options{hubs: hubs})
	e := keyed("dev-1", key("a"))
	e.Rule = `hub.name == "` + east + `"`
	w.individual(e)
	w.hubs[east].FailNext(1000, dps.HubFull)
	reg := w.register(w.signed("dev-1", key("a")))
	w.hubs[east].FailNext(0, dps.HubFull)
	if got := w.holders("dev-1"); len(got) > 0 || reg.Operation.Status != registration.Failed {
		t.Errorf("%s, made in %v", reg.Operation.Status, got)
	}
}
