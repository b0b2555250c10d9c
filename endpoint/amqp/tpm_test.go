package amqp_test

import (
	"bytes"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint/amqp/wire"
	"github.com/zerotouch-dps/dps/endpoint/endpointtest"
)

// challenging speaks the TPM mechanism up to the token, as the SDKs do.
func challenging(dial dialFunc) func(*testing.T, string, endpointtest.Device) ([]byte, func(string) endpointtest.Line) {
	return func(t *testing.T, address string, d endpointtest.Device) ([]byte, func(string) endpointtest.Line) {
		t.Helper()
		s := saslStream{t, dial(t, address, d)}
		header := wire.HeaderSASL()
		s.write(header[:])
		s.read(8)
		s.frame() // the mechanisms
		s.say(&wire.SASLInit{Mechanism: "TPM", Response: slices.Concat([]byte("\x00"+d.Scope+"\x00"+d.ID+"\x00"), d.TPM.Endorsement.Public)})
		s.challenge()
		var blob []byte
		for response := d.TPM.StorageRoot.Public; ; response = nil {
			s.say(&wire.SASLResponse{Response: append([]byte{0}, response...)})
			part := s.challenge()
			if part == nil {
				return nil, nil
			}
			blob = append(blob, part[1:]...)
			if part[0]&0x40 != 0 {
				break
			}
		}
		return blob, func(token string) endpointtest.Line {
			s.say(&wire.SASLResponse{Response: []byte("\x00" + token)})
			if o, ok := s.frame().(*wire.SASLOutcome); ok && o.Code == wire.SASLAuth {
				return nil
			} else if !ok || o.Code != wire.SASLOk {
				t.Fatalf("outcome %+v", o)
			}
			d.Token = ""
			return open(t, s.conn, d)
		}
	}
}

// saslStream reads no byte more than it must: the client library takes over.
type saslStream struct {
	t    *testing.T
	conn net.Conn
}

func (s saslStream) write(b []byte) {
	s.t.Helper()
	if _, err := s.conn.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s saslStream) read(n int) []byte {
	s.t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(s.conn, b); err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s saslStream) say(p wire.Performative) {
	s.t.Helper()
	s.write(wire.AppendFrame(nil, p, nil))
}

func (s saslStream) frame() wire.Performative {
	s.t.Helper()
	f, err := wire.ReadFrame(s.conn, 512) // SASL frames are no larger
	if err != nil {
		s.t.Fatal(err)
	}
	p, _, err := wire.ParsePerformative(f.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return p
}

// challenge returns a challenge; nil: the outcome came instead.
func (s saslStream) challenge() []byte {
	s.t.Helper()
	c, ok := s.frame().(*wire.SASLChallenge)
	if !ok {
		return nil
	}
	return c.Challenge
}

// challenged has a registrar that gives out a blob.
func challenged(size int) *registrar {
	return &registrar{err: &dps.Error{Code: dps.Unauthenticated, Err: &attestation.ChallengeError{AuthenticationKey: bytes.Repeat([]byte{7}, size)}}}
}

// refusing has r refuse whoever answers its challenge.
func refusing(r *registrar) *registrar {
	r.attest = func() error { return attestation.Refuse(io.ErrUnexpectedEOF) }
	return r
}

const tpmHello = "\x000ne1\x00dev-1\x00\x01\x3a\x00\x01"

// TestTPMParts: a blob comes in two parts, as Java wants, and larger ones in as many as
// the frames need.
func TestTPMParts(t *testing.T) {
	t.Parallel()
	for size, want := range map[int][]byte{
		3: {0x80, 0xc1}, 766: {0x80, 0xc1}, 940: {0x80, 0xc1}, 941: {0x80, 0x81, 0xc2}, 1880: {0x80, 0x81, 0x82, 0xc3},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := challenged(size)
			p := connect(t, r, nil)
			p.header(wire.HeaderSASL())
			p.say(&wire.SASLInit{Mechanism: "TPM", Response: []byte(tpmHello)})
			if c := next[*wire.SASLChallenge](p).Challenge; !bytes.Equal(c, []byte{0}) {
				t.Errorf("first challenge %x, want one zero byte", c)
			}
			p.say(&wire.SASLResponse{Response: []byte("\x00\x01\x1c\x00")})
			var controls []byte
			total := 0
			for {
				c := next[*wire.SASLChallenge](p).Challenge
				controls, total = append(controls, c[0]), total+len(c)-1
				if len(c) > 471 {
					t.Errorf("%d bytes: a part has %d", size, len(c))
				}
				if c[0]&0x40 != 0 {
					break
				}
				p.say(&wire.SASLResponse{Response: []byte{0}})
			}
			if !bytes.Equal(controls, want) || total != size {
				t.Errorf("%d bytes: control bytes %x, want %x; %d bytes in all", size, controls, want, total)
			}
			p.say(&wire.SASLResponse{Response: []byte("\x00" + goodToken)})
			if code := next[*wire.SASLOutcome](p).Code; code != wire.SASLOk {
				t.Errorf("outcome %d", code)
			}
			r.err, r.result = nil, assigned()
			p.open()
			p.links(address)
			p.send(1, register(uint64(1)))
			p.answer()
			e, ok := r.asked[len(r.asked)-1].Evidence.(attestation.TPMEvidence)
			if !ok || string(e.EndorsementKey) != "\x01\x3a\x00\x01" || string(e.StorageRootKey) != "\x01\x1c\x00" || e.Token == nil {
				t.Errorf("evidence %+v", r.asked[len(r.asked)-1].Evidence)
			}
		})
	}
}

// TestTPMRefusals: what is not the mechanism's way ends it.
func TestTPMRefusals(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		registrar *registrar
		responses []string // after the first challenge
	}{
		{"a response without control byte", challenged(766), []string{""}},
		{"a response in parts", challenged(766), []string{"\xc0\x01\x1c"}},
		{"keys that are none", &registrar{err: dps.Invalid("tpm.storageRootKey", "tpm2b", "is not a TPM2B_PUBLIC")}, []string{"\x00\x01"}},
		{"a service that fails", &registrar{err: io.ErrUnexpectedEOF}, []string{"\x00\x01"}},
		{"a blob too large for the mechanism", challenged(1881), []string{"\x00\x01"}},
		{"an early token", challenged(766), []string{"\x00\x01", strings.TrimPrefix(goodToken, " ")}},
		{"no token", challenged(766), []string{"\x00\x01", "\x00", "\x00"}},
		{"a token that is none", challenged(766), []string{"\x00\x01", "\x00", "\x00nonsense"}},
		{"a token that proves nothing", refusing(challenged(766)), []string{"\x00\x01", "\x00", "\x00" + goodToken}},
	} {
		in(t, tt.name, func(t *testing.T) {
			p := connect(t, tt.registrar, nil)
			p.header(wire.HeaderSASL())
			p.say(&wire.SASLInit{Mechanism: "TPM", Response: []byte(tpmHello)})
			for _, r := range tt.responses {
				next[*wire.SASLChallenge](p)
				p.say(&wire.SASLResponse{Response: []byte(r)})
			}
			if code := next[*wire.SASLOutcome](p).Code; code != wire.SASLAuth {
				t.Errorf("outcome %d, want 1", code)
			}
			p.ended()
		})
	}
}
