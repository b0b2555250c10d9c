package amqp_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint/amqp"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
	"github.com/zerotouch-dps/dps/registration"
)

// Each SDK's way of saying the same.
func TestRegister(t *testing.T) {
	t.Parallel()
	uuid := wire.UUID{1, 2, 3}
	for _, tt := range []struct {
		name, user, at string
		correlation    any
		body           []byte
	}{
		{"Node", address, address, "4f0a-guid", []byte(`{"registrationId":"dev-1"}`)},
		{"C#, empty body", address, address, "one-guid", nil},
		{"C, addresses as URLs", address, "amqps://dps.example/" + address, nil, []byte(`{"registrationId":"dev-1"}`)},
		{"Java, addresses with a slash", address, "/" + address, nil, []byte(`{"registrationId":"dev-1"}`)},
		{"another letter case in the link", address, "0NE1/registrations/DEV-1", nil, nil},
		{"UUID as correlation-id", address, address, uuid, nil},
		{"number as correlation-id", address, address, uint64(7), nil},
		{"bytes as correlation-id", address, address, []byte{0, 9}, nil},
	} {
		in(t, tt.name, func(t *testing.T) {
			r := &registrar{result: assigned()}
			p := connect(t, r, nil)
			if code := p.plain(tt.user, goodToken); code != wire.SASLOk {
				t.Fatalf("outcome %d", code)
			}
			p.open()
			p.links(tt.at)
			p.send(0, wire.Message{CorrelationID: tt.correlation, Body: tt.body, Properties: wire.Map{{Key: "iotdps-operation-type", Value: "iotdps-register"}}}.Append(nil))
			d := next[*wire.Disposition](p)
			if d.State.Outcome != wire.Accepted || d.Role != wire.Receiver || !d.Settled {
				t.Errorf("disposition %+v, want accepted", d)
			}
			m, transfer := p.answer()
			if diff := cmp.Diff(tt.correlation, m.CorrelationID); diff != "" {
				t.Errorf("correlation-id (-sent +got):\n%s", diff)
			}
			if m.Properties.Text("iotdps-status") != "202" || transfer.Settled {
				t.Errorf("properties %v, settled %t", m.Properties, transfer.Settled)
			}
			var body struct{ Status, OperationID string }
			if err := json.Unmarshal(m.Body, &body); err != nil || body.Status != "assigned" || body.OperationID != "4.0a0b.c" {
				t.Errorf("body %s: %v", m.Body, err)
			}
			asked := r.asked[0]
			if _, ok := asked.Evidence.(attestation.TokenEvidence); !ok || asked.Scope != "0ne1" || asked.ID != "dev-1" || asked.Transport != amqp.Transport || asked.Origin.Addr != netip.MustParseAddr("192.0.2.7") {
				t.Errorf("asked %+v", asked)
			}
			p.say(&wire.Close{})
			if e := p.ended(); e != nil {
				t.Errorf("closed with %v", e)
			}
		})
	}
}

// X.509 devices of every SDK skip SASL and pipeline; others may use EXTERNAL or ANONYMOUS.
func TestCertificate(t *testing.T) {
	t.Parallel()
	state := &tls.ConnectionState{Version: tls.VersionTLS13, PeerCertificates: []*x509.Certificate{{}}}
	for _, mechanism := range []wire.Symbol{"", "EXTERNAL", "ANONYMOUS"} {
		in(t, "SASL "+string(mechanism), func(t *testing.T) {
			r := &registrar{result: assigned()}
			p := connect(t, r, state)
			if mechanism != "" {
				if code := p.sasl(mechanism, []byte{}); code != wire.SASLOk {
					t.Fatalf("outcome %d", code)
				}
			}
			p.open()
			p.links(address)
			p.send(0, register("id"))
			p.answer()
			evidence, ok := r.asked[0].Evidence.(attestation.X509Evidence)
			if !ok || len(evidence.Chain) != 1 || r.asked[0].Origin.TLS != tls.VersionTLS13 {
				t.Errorf("asked %+v", r.asked[0])
			}
		})
	}
}

func TestMechanisms(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, &registrar{}, nil)
		p.header(wire.HeaderSASL())
		if diff := cmp.Diff(wire.Symbols{"PLAIN", "EXTERNAL", "ANONYMOUS", "TPM"}, next[*wire.SASLMechanisms](p).Mechanisms); diff != "" {
			t.Errorf("mechanisms (-want +got):\n%s", diff)
		}
	})
}

func TestSASLRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		mechanism wire.Symbol
		response  string
	}{
		{"a mechanism that was not offered", "SCRAM-SHA-256", "n,,n=u"},
		{"PLAIN without response", "PLAIN", ""},
		{"PLAIN with four parts", "PLAIN", "\x00a\x00b\x00c"},
		{"PLAIN, user of a hub", "PLAIN", "\x00dev-1@sas.hub\x00" + goodToken},
		{"PLAIN without password", "PLAIN", "\x00" + address + "\x00"},
		{"TPM without endorsement key", "TPM", "\x000ne1\x00dev-1\x00"},
		{"TPM without anything", "TPM", ""},
	} {
		in(t, tt.name, func(t *testing.T) {
			p := connect(t, &registrar{}, nil)
			if code := p.sasl(tt.mechanism, []byte(tt.response)); code != wire.SASLAuth {
				t.Errorf("outcome %d, want 1", code)
			}
			p.ended()
		})
	}
}

// Polls: C sends its register body again, C# a word, Java nothing.
func TestPoll(t *testing.T) {
	t.Parallel()
	poll := wire.Message{Properties: wire.Map{
		{Key: "iotdps-operation-type", Value: "iotdps-get-operationstatus"}, {Key: "iotdps-operation-id", Value: "4.0a0b.c"},
	}}
	withBody := poll
	withBody.Body = []byte(`{"registrationId":"dev-1"}`)
	word := bytes.TrimSuffix(poll.Append(nil), []byte("\x00\x53\x75\xa0\x00"))
	for name, message := range map[string][]byte{
		"C": withBody.Append(nil), "Java": word,
		"C#":   wire.AppendValue(bytes.Clone(word), wire.Described{Descriptor: uint64(0x77), Value: "iotdps-get-operationstatus"}),
		"Node": wire.AppendValue(bytes.Clone(word), wire.Described{Descriptor: uint64(0x77), Value: ""}),
	} {
		in(t, name, func(t *testing.T) {
			r := &registrar{result: assigning()}
			p := ready(t, r)
			p.send(0, message)
			m, _ := p.answer()
			if r.opID != "4.0a0b.c" || m.Properties.Get("retry-after") != int32(3) || m.Properties.Get("Retry-After") != int32(3) {
				t.Errorf("operation %q, properties %v", r.opID, m.Properties)
			}
			if m.CorrelationID != nil || !strings.Contains(string(m.Body), `"assigning"`) {
				t.Errorf("answer %+v", m)
			}
		})
	}
}

// What is refused is rejected, with a condition that the SDKs know and the JSON of HTTPS.
func TestRejections(t *testing.T) {
	t.Parallel()
	throttled := dps.Errorf(dps.Throttled, "later")
	throttled.RetryAfter = 4 * time.Second
	for _, tt := range []struct {
		name, condition string
		err             error
		code            int
		after           any
	}{
		{"unknown device", "amqp:unauthorized-access", dps.Errorf(dps.Unauthorized, "Unauthorized"), 401002, nil},
		{"throttled", "com.microsoft:device-container-throttled", throttled, 429001, int32(4)},
		{"a fault of ours", "amqp:internal-error", bytes.ErrTooLarge, 500000, nil},
		{"no primary", "amqp:internal-error", dps.Errorf(dps.Unavailable, "later"), 503000, int32(1)},
		{"no such operation", "amqp:not-found", dps.Errorf(dps.OperationNotFound, "no"), 404204, nil},
		{"another request in flight", "com.microsoft:precondition-failed", dps.Errorf(dps.ConcurrentChange, "no"), 409203, nil},
		{"a bad field", "com.microsoft:argument-error", dps.Invalid("x", "y", "z"), 400004, nil},
	} {
		in(t, tt.name, func(t *testing.T) {
			p := ready(t, &registrar{err: tt.err})
			p.send(3, register("id"))
			d := next[*wire.Disposition](p)
			if d.First != 3 || d.State.Outcome != wire.Rejected || d.State.Error == nil || string(d.State.Error.Condition) != tt.condition {
				t.Fatalf("disposition %+v, %v", d, d.State.Error)
			}
			var body struct {
				ErrorCode  int
				TrackingID string
			}
			if err := json.Unmarshal([]byte(d.State.Error.Description), &body); err != nil || body.ErrorCode != tt.code || body.TrackingID == "" {
				t.Errorf("description %s: %v", d.State.Error.Description, err)
			}
			for _, key := range []string{"retry-after", "Retry-After"} {
				if got := d.State.Error.Info.Get(key); got != tt.after {
					t.Errorf("%s is %v, want %v", key, got, tt.after)
				}
			}
		})
	}
}

// Requests that never reach the registrar are rejected alike.
func TestBadRequests(t *testing.T) {
	t.Parallel()
	for name, message := range map[string][]byte{
		"no operation":         wire.Message{Body: []byte("{}")}.Append(nil),
		"unknown operation":    wire.Message{Properties: wire.Map{{Key: "iotdps-operation-type", Value: "reboot"}}}.Append(nil),
		"operation, no text":   wire.Message{Properties: wire.Map{{Key: "iotdps-operation-type", Value: int32(1)}}}.Append(nil),
		"body is not JSON":     wire.Message{Body: []byte("hello"), Properties: wire.Map{{Key: "iotdps-operation-type", Value: "iotdps-register"}}}.Append(nil),
		"not a message":        []byte("hello"),
		"unknown section":      wire.AppendValue(nil, wire.Described{Descriptor: uint64(0x79), Value: "x"}),
		"map whose key is map": {0x00, 0x53, 0x74, 0xc1, 0x04, 0x02, 0xc1, 0x01, 0x00, 0x40},
	} {
		in(t, name, func(t *testing.T) {
			r := &registrar{}
			p := ready(t, r)
			p.send(0, message)
			d := next[*wire.Disposition](p)
			if d.State.Error == nil || d.State.Error.Condition != "com.microsoft:argument-error" || len(r.asked) > 0 {
				t.Errorf("disposition %+v, asked %d times", d, len(r.asked))
			}
			r.result = assigned() // the connection goes on
			p.send(1, register(nil))
			p.answer()
		})
	}
}

// Without a proof a device is not heard for ever.
func TestRefusedTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := ready(t, &registrar{err: dps.Errorf(dps.Unauthorized, "Unauthorized")})
		for id := range uint32(3) {
			p.send(id, register(nil))
			next[*wire.Disposition](p)
		}
		if e := p.ended(); e == nil || e.Condition != "amqp:unauthorized-access" {
			t.Errorf("closed with %v", e)
		}
	})
}

func TestRefusedLinksTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := connect(t, &registrar{}, nil)
		p.open()
		for handle := range uint32(3) {
			p.say(&wire.Attach{Name: "x", Handle: handle, Role: wire.Sender, Target: &wire.Terminus{Address: "elsewhere"}})
		}
		if e := p.ended(); e == nil || e.Condition != "amqp:unauthorized-access" {
			t.Errorf("closed with %v", e)
		}
	})
}

func TestRefusedLinks(t *testing.T) {
	t.Parallel()
	link := func(at string) *wire.Attach {
		return &wire.Attach{Name: "x", Handle: 2, Role: wire.Sender, Source: &wire.Terminus{}, Target: &wire.Terminus{Address: at}}
	}
	noTarget := link("")
	noTarget.Target = nil
	oldVersion := link(address)
	oldVersion.Properties = wire.Map{{Key: "com.microsoft:api-version", Symbol: true, Value: "yesterday"}}
	for _, tt := range []struct {
		name, user string
		attach     *wire.Attach
		condition  string
		code       string
	}{
		{"of another device", address, link("0ne1/registrations/dev-2"), "amqp:unauthorized-access", "401002"},
		{"of another scope", address, link("0ne2/registrations/dev-1"), "amqp:unauthorized-access", "401002"},
		{"of a hub", address, link("devices/dev-1/messages/events"), "com.microsoft:argument-error", "400000"},
		{"without address", address, link(""), "com.microsoft:argument-error", "400000"},
		{"without target", address, noTarget, "com.microsoft:argument-error", "400000"},
		{"of an ID with a blank", "0ne1/registrations/dev 1", link("0ne1/registrations/dev 1"), "com.microsoft:argument-error", "400004"},
		{"with an api-version that is no date", address, oldVersion, "com.microsoft:argument-error", "400000"},
	} {
		in(t, tt.name, func(t *testing.T) {
			p := connect(t, &registrar{}, nil)
			p.plain(tt.user, goodToken)
			p.open()
			p.say(tt.attach)
			if a := next[*wire.Attach](p); a.Role != wire.Receiver || a.Target != nil {
				t.Errorf("attached %+v", a)
			}
			d := next[*wire.Detach](p)
			if d.Handle != 2 || !d.Closed || d.Error == nil || string(d.Error.Condition) != tt.condition || !strings.Contains(d.Error.Description, tt.code) {
				t.Errorf("detached %+v, %v", d, d.Error)
			}
			p.say(&wire.Detach{Handle: 2, Closed: true}) // and the handle is free
			p.say(&wire.Attach{Name: "y", Handle: 2, Role: wire.Receiver, Source: &wire.Terminus{Address: tt.user}})
			next[*wire.Attach](p)
		})
	}
}

func TestDisabledAndFailedAreAnswers(t *testing.T) {
	t.Parallel()
	for _, status := range []registration.Status{registration.Disabled, registration.Failed} {
		in(t, string(status), func(t *testing.T) {
			result := assigned()
			result.Registration.Operation.Status = status
			p := ready(t, &registrar{result: result})
			p.send(0, register(nil))
			if m, _ := p.answer(); !strings.Contains(string(m.Body), `"status":"`+string(status)+`"`) {
				t.Errorf("answer %s", m.Body)
			}
		})
	}
}
