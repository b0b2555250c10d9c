package registration_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/peer"
	"github.com/zerotouch-dps/dps/scope"
)

// A rejected address sees what a wrong key sees, from the next request on, and a device
// that is on its way too.
func TestIPFilterOfDevices(t *testing.T) {
	t.Parallel()
	w := newWorld(t, options{})
	w.individual(keyed("sn-1", key("a")))
	req := w.signed("sn-1", key("a"))
	req.Origin = peer.Origin{Addr: netip.MustParseAddr("192.0.2.7")}
	w.assigned(req)

	set := func(rules ...scope.IPRule) {
		t.Helper()
		sc, err := w.store.Scopes().Get(w.ctx, scopeID)
		w.need(err)
		sc.IPFilter = rules
		_, err = w.store.Scopes().Update(w.ctx, sc, enrollment.Precondition{})
		w.need(err)
	}
	reject := scope.IPRule{Name: "test net", Action: scope.Reject, Mask: netip.MustParsePrefix("192.0.2.0/24"), Target: scope.DeviceEndpoint}
	set(reject)
	_, wrong := w.registrar.Register(w.ctx, new(w.signed("sn-1", key("b"))))
	_, rejected := w.registrar.Register(w.ctx, &req)
	for what, ask := range map[string]func() error{
		"register": func() error { return rejected },
		"poll":     func() error { _, err := w.registrar.Operation(w.ctx, &req, "4.x.y"); return err },
		"lookup":   func() error { _, err := w.registrar.Lookup(w.ctx, &req); return err },
	} {
		if err := ask(); !dps.Is(err, dps.Unauthorized) || !strings.Contains(err.Error(), `"test net"`) {
			t.Errorf("%s: %v; the log is to name the rule", what, err)
		}
	}
	if got, want := message(rejected), message(wrong); got != want {
		t.Errorf("the device is told %q, with a wrong key %q", got, want)
	}
	reject.Target = scope.ServiceEndpoint
	set(reject)
	w.assigned(req)
	set(scope.IPRule{Name: "all", Action: scope.Reject, Mask: netip.MustParsePrefix("::/0"), Target: scope.AllEndpoints})
	w.assigned(req)
	unknown := req
	unknown.Origin = peer.Origin{}
	if _, err := w.registrar.Register(w.ctx, &unknown); !dps.Is(err, dps.Unauthorized) {
		t.Errorf("unknown address: %v", err)
	}
}

func message(err error) string {
	if e, ok := errors.AsType[*dps.Error](err); ok {
		return e.Message
	}
	return ""
}
