package hubemulator_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/endpoint"
	"github.com/zerotouch-dps/dps/hub/hubtest"
	"github.com/zerotouch-dps/dps/hubemulator"
)

// peer is a device at the level of packets.
type peer struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	done chan struct{} // closed when the hub is done with it
	stop context.CancelFunc
}

// dialHub opens a connection on which nothing is said yet.
func dialHub(t testing.TB, h *hubemulator.Hub, chain ...*x509.Certificate) *peer {
	t.Helper()
	ours, theirs := net.Pipe()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	p := &peer{t, ours, bufio.NewReader(ours), make(chan struct{}), stop}
	go func() {
		defer close(p.done)
		defer theirs.Close()
		h.ServeDevice(ctx, theirs, endpoint.Peer{Transport: "mqtt", Addr: "192.0.2.1:1", TLS: &tls.ConnectionState{PeerCertificates: chain}})
	}()
	_ = ours.SetDeadline(time.Now().Add(2 * time.Minute))
	t.Cleanup(func() {
		stop()
		_ = ours.Close()
		<-p.done
	})
	return p
}

// connect connects a device with a SAS token of key n and reads CONNACK.
func connect(t testing.TB, h *hubemulator.Hub, id string, n int) *peer {
	t.Helper()
	p := dialHub(t, h)
	p.send(hello(id, hostName+"/"+id+"/?api-version=2021-04-12&DeviceClientType=x%2F1", tokenOf(id, n, time.Hour)))
	p.expect("\x20\x02\x00\x00")
	return p
}

func tokenOf(id string, n int, life time.Duration) string {
	key, err := base64.StdEncoding.DecodeString(hubtest.Key(n).Reveal())
	if err != nil {
		panic(err)
	}
	return attestation.SignToken(hostName+"/devices/"+id, "", key, time.Now().Add(life))
}

func field(text string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(len(text)))) + text
}

// frame is a whole packet.
func frame(first byte, body string) string {
	out := []byte{first}
	n := len(body)
	for ; n >= 0x80; n >>= 7 {
		out = append(out, byte(n)|0x80)
	}
	return string(append(out, byte(n))) + body
}

func hello(clientID, userName, password string) string {
	if password == "" {
		return frame(0x10, field("MQTT")+"\x04\x80\x00\x3c"+field(clientID)+field(userName))
	}
	return frame(0x10, field("MQTT")+"\x04\xc0\x00\x3c"+field(clientID)+field(userName)+field(password))
}

// publish is a PUBLISH, at QoS 1 unless id is 0.
func publish(id uint16, topic, payload string) string {
	if id == 0 {
		return frame(0x30, field(topic)+payload)
	}
	return frame(0x32, field(topic)+string(binary.BigEndian.AppendUint16(nil, id))+payload)
}

func subscribeTo(qos byte, filters ...string) string {
	body := "\x00\x01"
	for _, f := range filters {
		body += field(f) + string([]byte{qos})
	}
	return frame(0x82, body)
}

func (p *peer) send(packets string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, packets); err != nil {
		p.t.Fatalf("send: %v", err)
	}
}

// read returns the next packet's first byte and body.
func (p *peer) read() (byte, string, error) {
	first, err := p.in.ReadByte()
	if err != nil {
		return 0, "", err
	}
	n, err := binary.ReadUvarint(p.in)
	if err != nil {
		return 0, "", err
	}
	body := make([]byte, n)
	_, err = io.ReadFull(p.in, body)
	return first, string(body), err
}

func (p *peer) expect(packet string) {
	p.t.Helper()
	got := make([]byte, len(packet))
	if _, err := io.ReadFull(p.in, got); err != nil || string(got) != packet {
		p.t.Fatalf("got %x, %v; want %x", got, err, packet)
	}
}

// message reads a PUBLISH and returns it as "QoS topic payload".
func (p *peer) message() string {
	p.t.Helper()
	first, body, err := p.read()
	if err != nil || first>>4 != 3 || len(body) < 2 {
		p.t.Fatalf("got packet %x %q, %v; want PUBLISH", first, body, err)
	}
	n := int(binary.BigEndian.Uint16([]byte(body))) + 2
	topic, payload := body[2:n], body[n:]
	if first&2 != 0 {
		payload = payload[2:]
	}
	return fmt.Sprintf("%d %s %s", first>>1&3, topic, payload)
}

// ask publishes at QoS 0 and returns the reply.
func (p *peer) ask(topic, payload string) string {
	p.t.Helper()
	p.send(publish(0, topic, payload))
	return p.message()
}

// alive checks that the hub still listens, and that it has done what was sent before.
func (p *peer) alive() {
	p.t.Helper()
	p.send("\xc0\x00")
	p.expect("\xd0\x00")
}

// expectEnd waits until the hub has closed the connection.
func (p *peer) expectEnd() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.in); err != nil || len(rest) > 0 {
		p.t.Fatalf("got %q, %v; want the end", rest, err)
	}
	<-p.done
}

// register makes devices with keys 1 and 2.
func register(t testing.TB, o *operator, ids ...string) {
	t.Helper()
	for _, id := range ids {
		body := fmt.Sprintf(`{"authentication":{"type":"sas","symmetricKey":{"primaryKey":%q,"secondaryKey":%q}}}`, hubtest.Key(1).Reveal(), hubtest.Key(2).Reveal())
		if a := o.do("PUT", "/devices/"+strings.ReplaceAll(id, "%", "%25"), body); a.status != 200 {
			t.Fatalf("register %s: %d %s", id, a.status, a.text)
		}
	}
}
