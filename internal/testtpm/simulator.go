package testtpm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// Codes of the protocol of TPM simulators, as the device SDKs speak it.
const (
	codeSend       = 8
	codeHandshake  = 15
	codeSessionEnd = 20
	codeStop       = 21
	// simulatorVersion and simulatorFlags answer a handshake; the flag: there is a platform.
	simulatorVersion, simulatorFlags = 1, 1
	maxCommand                       = 8 << 10 // bytes
)

// Simulate serves a fresh swtpm under the protocol of simulators until the test ends:
// commands on the port, the platform's on the next.
func Simulate(t *testing.T, host string, port int) {
	t.Helper()
	s := &simulator{socket: Start(t)}
	t.Cleanup(s.serving.Wait) // runs after the listeners are closed
	for i, serve := range []func(net.Conn) error{s.command, s.platform} {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, strconv.Itoa(port+i)))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		s.serving.Go(func() { s.accept(t.Context(), l, serve) })
	}
}

type simulator struct {
	socket  string
	serving sync.WaitGroup
	one     sync.Mutex // command at a time
}

func (s *simulator) accept(ctx context.Context, l net.Listener, serve func(net.Conn) error) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
		s.serving.Go(func() {
			defer stop()
			defer func() { _ = conn.Close() }()
			_ = serve(conn) // the peer sees the end
		})
	}
}

// command serves the first port.
func (s *simulator) command(conn net.Conn) error {
	for {
		code, err := readNumber(conn)
		if err != nil {
			return err
		}
		switch code {
		case codeHandshake:
			if _, err = readNumber(conn); err == nil {
				err = writeNumbers(conn, simulatorVersion, simulatorFlags, 0)
			}
		case codeSend:
			err = s.relay(conn)
		case codeSessionEnd, codeStop:
			return nil
		default:
			err = writeNumbers(conn, 0)
		}
		if err != nil {
			return err
		}
	}
}

// relay hands a command to the TPM: locality, length, command; then length, answer, 0.
func (s *simulator) relay(conn net.Conn) error {
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		return fmt.Errorf("read locality: %w", err)
	}
	size, err := readNumber(conn)
	if err != nil || size > maxCommand {
		return errors.Join(err, errors.New("command is too long"))
	}
	command := make([]byte, size)
	if _, err := io.ReadFull(conn, command); err != nil {
		return fmt.Errorf("read command: %w", err)
	}
	answer, err := s.execute(command)
	if err != nil {
		return err
	}
	answer = append(binary.BigEndian.AppendUint32(nil, uint32(len(answer))), answer...) //nolint:gosec // under 64 KiB
	if _, err := conn.Write(answer); err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return writeNumbers(conn, 0)
}

// execute has swtpm carry a command out; its answer bears its own length.
func (s *simulator) execute(command []byte) ([]byte, error) {
	s.one.Lock()
	defer s.one.Unlock()
	tpm, err := net.Dial("unix", s.socket) //nolint:noctx // ends with swtpm
	if err != nil {
		return nil, fmt.Errorf("reach swtpm: %w", err)
	}
	defer func() { _ = tpm.Close() }()
	if _, err := tpm.Write(command); err != nil {
		return nil, fmt.Errorf("write command: %w", err)
	}
	answer := make([]byte, 10)
	if _, err := io.ReadFull(tpm, answer); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	rest := make([]byte, max(10, binary.BigEndian.Uint32(answer[2:]))-10)
	if _, err := io.ReadFull(tpm, rest); err != nil {
		return nil, fmt.Errorf("read answer: %w", err)
	}
	return append(answer, rest...), nil
}

// platform serves the second port: power and reset, which swtpm needs not be told.
func (s *simulator) platform(conn net.Conn) error {
	for {
		code, err := readNumber(conn)
		if err != nil || code == codeSessionEnd || code == codeStop {
			return err
		}
		if err := writeNumbers(conn, 0); err != nil {
			return err
		}
	}
}

func readNumber(r io.Reader) (uint32, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, fmt.Errorf("read number: %w", err)
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

func writeNumbers(w io.Writer, numbers ...uint32) error {
	var b []byte
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write number: %w", err)
	}
	return nil
}
