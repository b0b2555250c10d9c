package scope_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/peer"
	"github.com/zerotouch-dps/dps/scope"
)

func rule(t *testing.T, name string, action scope.IPAction, mask string, target scope.Endpoint) scope.IPRule {
	t.Helper()
	prefix, err := scope.ParseIPMask(mask)
	if err != nil {
		t.Fatalf("%s: %v", mask, err)
	}
	return scope.IPRule{Name: name, Action: action, Mask: prefix, Target: target}
}

func TestIPFilterDecides(t *testing.T) {
	t.Parallel()
	f := scope.IPFilter{
		rule(t, "one bad host", scope.Reject, "10.1.2.3", scope.AllEndpoints),
		rule(t, "plant", scope.Accept, "10.1.0.0/16", scope.AllEndpoints),
		rule(t, "office", scope.Accept, "2001:db8::/32", scope.ServiceEndpoint),
		rule(t, "mapped", scope.Accept, "::ffff:192.0.2.0/120", scope.DeviceEndpoint),
		rule(t, "rest of 4", scope.Reject, "0.0.0.0/0", scope.AllEndpoints),
		rule(t, "rest of 6", scope.Reject, "::/0", scope.DeviceEndpoint),
	}
	for _, tt := range []struct {
		addr            string
		device, service scope.IPAction
		by              [2]int
	}{
		{"10.1.2.3", scope.Reject, scope.Reject, [2]int{0, 0}},
		{"10.1.2.4", scope.Accept, scope.Accept, [2]int{1, 1}},
		{"::ffff:10.1.2.3", scope.Reject, scope.Reject, [2]int{0, 0}},
		{"192.0.2.7", scope.Accept, scope.Reject, [2]int{3, 4}},
		{"198.51.100.1", scope.Reject, scope.Reject, [2]int{4, 4}},
		{"2001:db8::1", scope.Reject, scope.Accept, [2]int{5, 2}},
		{"2001:db9::1", scope.Reject, scope.Accept, [2]int{5, -1}},
		{"fe80::1%eth0", scope.Reject, scope.Accept, [2]int{5, -1}},
	} {
		addr := netip.MustParseAddr(tt.addr)
		if got, at := f.Decide(addr, scope.DeviceEndpoint); got != tt.device || at != tt.by[0] {
			t.Errorf("device at %s: %s by %d", tt.addr, got, at)
		}
		if got, at := f.Decide(addr, scope.ServiceEndpoint); got != tt.service || at != tt.by[1] {
			t.Errorf("service at %s: %s by %d", tt.addr, got, at)
		}
	}
	if got, _ := f.Decide(netip.Addr{}, scope.DeviceEndpoint); got != scope.Reject {
		t.Errorf("unknown address: %s", got)
	}
	if got, _ := (scope.IPFilter{}).Decide(netip.Addr{}, scope.DeviceEndpoint); got != scope.Accept {
		t.Errorf("unknown address, no rules: %s", got)
	}
}

func TestParseIPMask(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.1.2.3": "10.1.2.3/32", "10.1.2.3/8": "10.0.0.0/8", "2001:db8::1": "2001:db8::1/128", "::ffff:10.0.0.1": "10.0.0.1/32",
		"::ffff:10.0.0.0/104": "10.0.0.0/8", "::/0": "::/0",
		"": "", "10.1.2": "", "10.1.2.3/33": "", "fe80::1%eth0": "", "::ffff:10.0.0.0/90": "", "example.com": "", "10.0.0.0 /8": "",
	} {
		got, err := scope.ParseIPMask(text)
		if (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func FuzzParseIPMask(f *testing.F) {
	f.Add("10.0.0.0/8")
	f.Add("::ffff:1.2.3.4/100")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := scope.ParseIPMask(text)
		if err != nil {
			return
		}
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() {
			t.Errorf("%q: %v", text, p)
		}
		if again, err := scope.ParseIPMask(p.String()); err != nil || again != p {
			t.Errorf("%q: %v read again is %v, %v", text, p, again, err)
		}
	})
}

func TestIPFilterValidates(t *testing.T) {
	t.Parallel()
	good := rule(t, "a", scope.Accept, "10.0.0.0/8", scope.AllEndpoints)
	alter := func(f func(*scope.IPRule)) scope.IPFilter {
		r := good
		f(&r)
		return scope.IPFilter{r}
	}
	var many scope.IPFilter
	for i := range scope.MaxIPRules + 1 {
		r := good
		r.Name = fmt.Sprint(i)
		many = append(many, r)
	}
	if err := many[1:].Validate(); err != nil {
		t.Errorf("a hundred rules: %v", err)
	}
	twin := good
	twin.Name = "A"
	for name, f := range map[string]scope.IPFilter{
		"too many": many, "names that meet folded": {good, twin},
		"no name":   alter(func(r *scope.IPRule) { r.Name = "" }),
		"long name": alter(func(r *scope.IPRule) { r.Name = strings.Repeat("x", 129) }),
		"action":    alter(func(r *scope.IPRule) { r.Action = "accept" }),
		"target":    alter(func(r *scope.IPRule) { r.Target = "hub" }),
		"mask":      alter(func(r *scope.IPRule) { r.Mask = netip.Prefix{} }),
	} {
		if err := f.Validate(); !dps.Is(err, dps.InvalidArgument) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestMinTLSVersion(t *testing.T) {
	t.Parallel()
	const tls12, tls13 = 0x0303, 0x0304
	for _, tt := range []struct {
		demand string
		tls    uint16
		good   bool
	}{{"", tls12, true}, {scope.TLS12, tls12, true}, {scope.TLS13, tls12, false}, {scope.TLS13, tls13, true}, {scope.TLS13, 0, false}} {
		err := scope.Scope{MinTLSVersion: tt.demand}.Refuses(peer.Origin{TLS: tt.tls}, scope.DeviceEndpoint)
		if (err == nil) != tt.good {
			t.Errorf("%q, %#x: %v", tt.demand, tt.tls, err)
		}
	}
	if err := (scope.Scope{MinTLSVersion: "1.1"}).Validate(); !dps.Is(err, dps.InvalidArgument) {
		t.Errorf("1.1: %v", err)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		limits scope.Limits
		want   [4]int
	}{
		{"none", scope.Limits{}, [4]int{}},
		{"the original's", scope.Limits{Profile: scope.AsAzure}, [4]int{50, 25, 100, 100}},
		{"some of one's own", scope.Limits{Profile: scope.AsAzure, Hubs: new(3), X509Groups: new(0)}, [4]int{3, 25, 0, 100}},
		{"one of one's own", scope.Limits{Authorities: new(2)}, [4]int{0, 2, 0, 0}},
	} {
		l := tt.limits
		got := [4]int{l.Of(scope.HubLimit), l.Of(scope.AuthorityLimit), l.Of(scope.X509GroupLimit), l.Of(scope.KeyGroupLimit)}
		if got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
	for _, bad := range []scope.Limits{{Profile: "aws"}, {Hubs: new(-1)}} {
		if err := (scope.Scope{Limits: bad}).Validate(); !dps.Is(err, dps.InvalidArgument) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
