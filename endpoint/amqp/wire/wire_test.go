package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
)

// The bytes are those of the specification's examples and of the SDKs.
func TestParseValue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		in   string
		want any
	}{
		{"null", "\x40", nil},
		{"true", "\x41", true},
		{"false in a byte", "\x56\x00", false},
		{"ubyte", "\x50\xff", uint8(255)},
		{"byte", "\x51\xff", int8(-1)},
		{"ushort", "\x60\x01\x02", uint16(258)},
		{"short", "\x61\xff\xfe", int16(-2)},
		{"uint 0", "\x43", uint32(0)},
		{"small uint", "\x52\x07", uint32(7)},
		{"uint", "\x70\x00\x01\x00\x00", uint32(65536)},
		{"small int", "\x54\xff", int32(-1)},
		{"int", "\x71\x00\x00\x00\x05", int32(5)},
		{"ulong 0", "\x44", uint64(0)},
		{"small ulong", "\x53\x10", uint64(16)},
		{"ulong", "\x80\x00\x00\x00\x00\x00\x00\x00\x75", uint64(0x75)},
		{"small long", "\x55\x80", int64(-128)},
		{"long", "\x81\xff\xff\xff\xff\xff\xff\xff\xff", int64(-1)},
		{"float", "\x72\x3f\x80\x00\x00", float32(1)},
		{"double", "\x82\x3f\xf0\x00\x00\x00\x00\x00\x00", float64(1)},
		{"char", "\x73\x00\x00\x00\x41", wire.Char('A')},
		{"timestamp", "\x83\x00\x00\x00\x00\x00\x00\x03\xe8", wire.Timestamp(1000)},
		{"uuid", "\x98\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f", wire.UUID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		{"binary", "\xa0\x02\x00\xff", []byte{0, 255}},
		{"string", "\xa1\x03\xc3\xa4b", "äb"},
		{"long string", "\xb1\x00\x00\x00\x02ab", "ab"},
		{"symbol", "\xa3\x03abc", wire.Symbol("abc")},
		{"empty list", "\x45", wire.List{}},
		{"list", "\xc0\x04\x02\x41\x52\x01", wire.List{true, uint32(1)}},
		{"map", "\xc1\x06\x02\xa3\x01k\xa1\x00", wire.Map{{Key: "k", Symbol: true, Value: ""}}},
		{"array of symbols", "\xe0\x08\x02\xa3\x02ab\x02cd", wire.Symbols{"ab", "cd"}},
		{"described", "\x00\xa3\x01d\x43", wire.Described{Descriptor: wire.Symbol("d"), Value: uint32(0)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, rest, err := wire.ParseValue([]byte(tt.in + "rest"))
			if err != nil || string(rest) != "rest" {
				t.Fatalf("rest %q, error %v", rest, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("value (-want +got):\n%s", diff)
			}
			again, _, err := wire.ParseValue(wire.AppendValue(nil, got))
			if diff := cmp.Diff(got, again); diff != "" || err != nil {
				t.Errorf("encoded and parsed again: %v\n%s", err, diff)
			}
		})
	}
}

func TestParseValueRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]string{
		"nothing":                      "",
		"number cut short":             "\x70\x00\x00",
		"string cut short":             "\xa1\x05ab",
		"string of 4 GiB":              "\xb1\xff\xff\xff\xffab",
		"string, not UTF-8":            "\xa1\x01\xff",
		"symbol, not ASCII":            "\xa3\x02\xc3\xa4",
		"boolean of 2":                 "\x56\x02",
		"decimal":                      "\x74\x00\x00\x00\x00",
		"unassigned code":              "\x3f",
		"list of more than its bytes":  "\xc0\x02\x09\x40",
		"list with bytes left":         "\xc0\x03\x01\x40\x40",
		"list smaller than its count":  "\xd0\x00\x00\x00\x01\x00",
		"map with an odd count":        "\xc1\x03\x01\xa1\x00",
		"map whose key is a number":    "\xc1\x03\x02\x43\x40",
		"map whose key is a list":      "\xc1\x03\x02\x45\x40",
		"map whose key is null":        "\xc1\x03\x02\x40\x40",
		"array of nulls, four billion": "\xf0\x00\x00\x00\x05\xff\xff\xff\xff\x40",
		"array of numbers":             "\xe0\x03\x01\x50\x01",
		"lists nine deep":              nested(9),
		"descriptors a thousand deep":  strings.Repeat("\x00", 1000) + "\x40",
		"two thousand nulls":           "\xd0\x00\x00\x07\xd4\x00\x00\x07\xd0" + strings.Repeat("\x40", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if v, _, err := wire.ParseValue([]byte(in)); !errors.Is(err, wire.ErrDecode) {
				t.Errorf("got %v, error %v", v, err)
			}
		})
	}
	if _, _, err := wire.ParseValue([]byte(nested(8))); err != nil {
		t.Errorf("lists eight deep: %v", err)
	}
}

func nested(depth int) string {
	inner := ""
	for range depth {
		if inner == "" {
			inner = "\x45"
			continue
		}
		inner = "\xc0" + string(rune(1+len(inner))) + "\x01" + inner
	}
	return inner
}

func performatives() []wire.Performative {
	one, two := uint32(1), uint32(300)
	fault := &wire.Error{Condition: "amqp:not-found", Description: "{}", Info: wire.Map{{Key: "retry-after", Symbol: true, Value: int32(3)}}}
	at := &wire.Terminus{Address: "a/registrations/b"}
	return []wire.Performative{
		&wire.Open{ContainerID: "c", Hostname: "h", MaxFrameSize: 65536, ChannelMax: 0, IdleTimeout: time.Minute},
		&wire.Begin{NextOutgoingID: 1, IncomingWindow: 2048, OutgoingWindow: 7, HandleMax: 7},
		&wire.Begin{RemoteChannel: new(uint16), HandleMax: 7},
		&wire.Attach{
			Name: "n", Handle: 1, Role: wire.Receiver, SenderSettleMode: 2, ReceiverSettleMode: 1, Source: at, Target: &wire.Terminus{},
			InitialDeliveryCount: &two, MaxMessageSize: 1 << 20, Properties: wire.Map{{Key: "p", Symbol: true, Value: "v"}},
		},
		&wire.Attach{Name: "n", Source: nil, Target: at},
		&wire.Flow{NextIncomingID: &one, IncomingWindow: 2, NextOutgoingID: 3, OutgoingWindow: 4, Handle: &one, DeliveryCount: &two, LinkCredit: &two, Drain: true, Echo: true},
		&wire.Flow{},
		&wire.Transfer{Handle: 1, DeliveryID: &two, DeliveryTag: []byte{1}, Settled: true, More: true, Aborted: true},
		&wire.Disposition{Role: wire.Receiver, First: 1, Last: 2, Settled: true, State: wire.State{Outcome: wire.Accepted}},
		&wire.Disposition{First: 1, Last: 1, State: wire.State{Outcome: wire.Rejected, Error: fault}},
		&wire.Disposition{First: 1, Last: 1, State: wire.State{Outcome: wire.Received}},
		&wire.Detach{Handle: 1, Closed: true, Error: fault},
		&wire.End{Error: fault}, &wire.End{}, &wire.Close{Error: fault}, &wire.Close{},
		&wire.SASLMechanisms{Mechanisms: wire.Symbols{"PLAIN", "TPM"}},
		&wire.SASLInit{Mechanism: "PLAIN", Response: []byte("\x00u\x00p"), Hostname: "h"},
		&wire.SASLChallenge{Challenge: []byte{0}}, &wire.SASLResponse{Response: []byte{0, 1}}, &wire.SASLOutcome{Code: wire.SASLAuth},
	}
}

func TestPerformatives(t *testing.T) {
	t.Parallel()
	for _, want := range performatives() {
		text := wire.AppendFrame(nil, want, []byte("payload"))
		f, err := wire.ReadFrame(bytes.NewReader(text), 1<<16)
		if err != nil {
			t.Fatalf("%T: %v", want, err)
		}
		got, payload, err := wire.ParsePerformative(f.Body)
		if err != nil || string(payload) != "payload" {
			t.Fatalf("%T: payload %q, error %v", want, payload, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(wire.Open{}, wire.Begin{}, wire.Attach{}, wire.Flow{}, wire.Transfer{}, wire.Disposition{}, wire.Detach{}, wire.End{}, wire.Close{},
			wire.SASLMechanisms{}, wire.SASLInit{}, wire.SASLChallenge{}, wire.SASLResponse{}, wire.SASLOutcome{})); diff != "" {
			t.Errorf("%T (-want +got):\n%s", want, diff)
		}
	}
}

// A single mechanism may stand without an array (AMQP 1.0, part 1, "multiple").
func TestSingleMechanism(t *testing.T) {
	t.Parallel()
	p, _, err := wire.ParsePerformative([]byte("\x00\x53\x40\xc0\x08\x01\xa3\x05PLAIN"))
	m, ok := p.(*wire.SASLMechanisms)
	if err != nil || !ok || cmp.Diff(wire.Symbols{"PLAIN"}, m.Mechanisms) != "" {
		t.Errorf("got %+v, error %v", p, err)
	}
}

func TestReadFrameHeader(t *testing.T) {
	t.Parallel()
	f, err := wire.ReadFrame(strings.NewReader("\x00\x00\x00\x0f\x03\x00\x00\x02extdbdy"), 512)
	if err != nil || string(f.Body) != "bdy" || f.Channel != 2 {
		t.Errorf("frame with an extended header: %+v, %v", f, err)
	}
	if _, err := wire.ReadFrame(strings.NewReader(""), 512); !errors.Is(err, io.EOF) {
		t.Errorf("nothing: %v", err)
	}
	if _, err := wire.ReadFrame(strings.NewReader("\x00\x00\x00\x0f\x02\x00\x00\x02ab"), 512); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut short: %v", err)
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	want := wire.Message{
		CorrelationID: "id", Body: []byte("{}"),
		Properties: wire.Map{{Key: "iotdps-operation-type", Value: "iotdps-register"}, {Key: "iotdps-forceRegistration", Value: false}},
	}
	header := wire.AppendValue(nil, wire.Described{Descriptor: uint64(0x70), Value: wire.List{true}})
	annotations := wire.AppendValue(header, wire.Described{Descriptor: uint64(0x72), Value: wire.Map{{Key: "x", Symbol: true, Value: wire.UUID{1}}}})
	got, err := wire.ParseMessage(want.Append(annotations))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("message (-want +got):\n%s", diff)
	}
}
