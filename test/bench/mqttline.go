package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// The MQTT packets that a device sends and gets (MQTT 3.1.1, 2.2.1), with their flags.
const (
	mqttConnect    = 0x10
	mqttConnack    = 0x20
	mqttPublish    = 0x30 // QoS 0
	mqttPublishQ1  = 0x32
	mqttPuback     = 0x40
	mqttSubscribe  = 0x82
	mqttSuback     = 0x90
	mqttDisconnect = 0xe0

	mqttKeepAlive = 600 // seconds: longer than any benchmark holds a connection
	mqttAPI       = "/api-version=2021-06-01&ClientVersion=bench"
)

// mqttLine is a connection with a subscription.
type mqttLine struct {
	conn net.Conn
	name string
}

// openMQTT connects and subscribes, waiting for each answer as the SDKs do.
func (d device) openMQTT(ctx context.Context, c net.Conn) (line, error) {
	if err := limit(ctx, c); err != nil {
		return nil, err
	}
	l := &mqttLine{c, d.name}
	if _, err := l.exchange(d.mqttConnect(), mqttConnack); err != nil {
		return nil, err
	}
	if _, err := l.exchange(mqttPacket(mqttSubscribe, []byte{0, 1}, mqttText("$dps/registrations/res/#"), []byte{1}), mqttSuback); err != nil {
		return nil, err
	}
	return l, nil
}

// mqttConnect is the first packet.
func (d device) mqttConnect() []byte {
	user := string(scopeID) + "/registrations/" + d.name + mqttAPI
	flags, password := byte(0x82), []byte(nil) // user name, clean session
	if d.token != "" {
		flags, password = flags|0x40, mqttText(d.token)
	}
	return mqttPacket(mqttConnect, mqttText("MQTT"), []byte{4, flags, mqttKeepAlive >> 8, mqttKeepAlive & 0xff},
		mqttText(d.name), mqttText(user), password)
}

func (l *mqttLine) register(ctx context.Context) (int, []byte, error) {
	if err := limit(ctx, l.conn); err != nil {
		return 0, nil, err
	}
	topic := mqttText("$dps/registrations/PUT/iotdps-register/?$rid=1")
	request := mqttPacket(mqttPublishQ1, topic, []byte{0, 2}, fmt.Appendf(nil, registerBody, l.name))
	body, err := l.exchange(request, mqttPublish)
	if err != nil {
		return 0, nil, err
	}
	return readMQTTAnswer(body)
}

// readMQTTAnswer reads $dps/registrations/res/{status}/?… and what follows the topic.
func readMQTTAnswer(publish []byte) (int, []byte, error) {
	topic, rest, err := cutTopic(publish)
	if err != nil {
		return 0, nil, err
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(topic, "$dps/registrations/res/"), "/")
	status, err := strconv.Atoi(text)
	return status, rest, err
}

func cutTopic(publish []byte) (topic string, rest []byte, err error) {
	if len(publish) < 2 || len(publish) < 4+int(binary.BigEndian.Uint16(publish)) {
		return "", nil, errors.New("answer is cut short")
	}
	end := 2 + int(binary.BigEndian.Uint16(publish))
	return string(publish[2:end]), publish[end:], nil
}

// exchange sends a packet and returns the body of the first of a kind that comes.
func (l *mqttLine) exchange(packet []byte, kind byte) ([]byte, error) {
	if _, err := l.conn.Write(packet); err != nil {
		return nil, err
	}
	for {
		got, body, err := readMQTT(l.conn)
		switch {
		case err != nil:
			return nil, err
		case got&0xf0 != kind: // PUBACK before the answer
			continue
		case kind == mqttConnack && (len(body) < 2 || body[1] != 0):
			return nil, fmt.Errorf("connection refused: %x", body)
		case got&^8 == mqttPublishQ1:
			return body, l.acknowledge(body)
		}
		return body, nil
	}
}

// acknowledge answers an answer, as who subscribes with QoS 1 must.
func (l *mqttLine) acknowledge(publish []byte) error {
	_, rest, err := cutTopic(publish)
	if err != nil {
		return err
	}
	_, err = l.conn.Write(mqttPacket(mqttPuback, rest[:2]))
	return err
}

func (l *mqttLine) close() {
	_, _ = l.conn.Write([]byte{mqttDisconnect, 0}) // the server may have gone
	_ = l.conn.Close()
}

func mqttText(s string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(s))), s...)
}

func mqttPacket(first byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...)
}

// readMQTT reads a packet.
func readMQTT(c io.Reader) (first byte, body []byte, err error) {
	var one [1]byte
	next := func() (byte, error) {
		_, err := io.ReadFull(c, one[:])
		return one[0], err
	}
	if first, err = next(); err != nil {
		return 0, nil, err
	}
	length, err := binary.ReadUvarint(byteReader(next))
	if err != nil || length > 1<<20 {
		return 0, nil, errors.Join(err, errors.New("bad length of a packet"))
	}
	body = make([]byte, length)
	_, err = io.ReadFull(c, body)
	return first, body, err
}

// byteReader is an io.ByteReader.
type byteReader func() (byte, error)

// ReadByte implements io.ByteReader.
func (f byteReader) ReadByte() (byte, error) { return f() }
