package dev

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/zerotouch-dps/dps/ca"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/internal/wholefile"
	"github.com/zerotouch-dps/dps/server"
)

// folder is the data folder: everything that must outlive a restart.
type folder struct {
	path   string
	random io.Reader
}

func (f folder) file(name ...string) string {
	return filepath.Join(append([]string{f.path}, name...)...)
}

// once returns a file's content, making it first if it is not there. Secrets all: mode
// 0600.
func (f folder) once(name string, content func() ([]byte, error)) ([]byte, error) {
	text, err := os.ReadFile(f.file(name))
	if !errors.Is(err, os.ErrNotExist) {
		return text, err
	}
	if text, err = content(); err != nil {
		return nil, err
	}
	return text, f.write(name, text)
}

// write replaces a file whole or not at all.
func (f folder) write(name string, text []byte) error {
	path := f.file(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder: %w", err)
	}
	return wholefile.Write(path, text)
}

func (f folder) keyring() (string, error) {
	_, err := f.once("keyring", func() ([]byte, error) {
		line, err := keyring.NewLine(f.random, "k1")
		return []byte(line), err
	})
	return f.file("keyring"), err
}

// authority opens the development CA, making it at first.
func (f folder) authority(ctx context.Context) (*ca.Authority, error) {
	cert, certErr := os.ReadFile(f.file("ca.pem"))
	key, keyErr := os.ReadFile(f.file("ca.key"))
	if certErr == nil && keyErr == nil {
		return ca.Load(ctx, cert, key, f.random)
	}
	authority, err := ca.New(ctx, "dps development CA", f.random)
	if err != nil {
		return nil, err
	}
	if cert, key, err = authority.Marshal(); err != nil {
		return nil, err
	}
	return authority, errors.Join(f.write("ca.key", key), f.write("ca.pem", cert))
}

// serverCertificates issues what the listeners present: ECDSA for those who can, RSA
// for the many device stacks that can't. They are made anew at each start, which
// costs nothing and follows the address.
func (f folder) serverCertificates(a *ca.Authority, name string, hosts []string, withRSA bool) ([]server.KeyPair, error) {
	ec, err := ecdsa.GenerateKey(elliptic.P256(), f.random)
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	keys := []crypto.Signer{ec}
	if withRSA {
		key, err := rsa.GenerateKey(f.random, 2048)
		if err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		keys = append(keys, key)
	}
	var pairs []server.KeyPair
	for i, key := range keys {
		base := fmt.Sprintf("tls/%s-%d", name, i)
		cert, keyPEM, err := a.Server(key, hosts)
		if err != nil {
			return nil, err
		}
		if err := errors.Join(f.write(base+".key", keyPEM), f.write(base+".pem", cert)); err != nil {
			return nil, err
		}
		pairs = append(pairs, server.KeyPair{Certificate: f.file(base + ".pem"), Key: f.file(base + ".key")})
	}
	return pairs, nil
}

// key returns 64 random bytes in base64 that a file keeps.
func (f folder) key(name string) (string, error) {
	text, err := f.once(name, func() ([]byte, error) {
		b := make([]byte, 64)
		if _, err := io.ReadFull(f.random, b); err != nil {
			return nil, fmt.Errorf("make key: %w", err)
		}
		return []byte(base64.StdEncoding.EncodeToString(b) + "\n"), nil
	})
	return strings.TrimSpace(string(text)), err
}

// Ready is the ready file: everything that a client needs, written once every
// listener accepts.
type Ready struct {
	IDScope                 string     `json:"idScope"`
	DeviceHost              string     `json:"deviceHost"`
	Ports                   Ports      `json:"ports"`
	CAFile                  string     `json:"caFile"`
	ServiceConnectionString string     `json:"serviceConnectionString"`
	Admin                   Admin      `json:"admin"`
	Hubs                    []ReadyHub `json:"hubs"`
	Dir                     string     `json:"dir"`
	PID                     int        `json:"pid"`
}

// Ports are where devices connect.
type Ports struct {
	HTTPS int `json:"https"`
	MQTT  int `json:"mqtt,omitempty"`
	AMQP  int `json:"amqp,omitempty"`
}

// Admin is the operator's API.
type Admin struct {
	URL   string `json:"url"`
	Token string `json:"token"`
}

// ReadyHub is an embedded hub; its connection string works in the hub's service SDKs.
type ReadyHub struct {
	HostName         string `json:"hostName"`
	ConnectionString string `json:"connectionString"`
	Port             int    `json:"port"`
	MQTTPort         int    `json:"mqttPort,omitempty"`
}

func (r Ready) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode ready file: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder of the ready file: %w", err)
	}
	return wholefile.Write(path, append(text, '\n'))
}

// removeReady makes sure that who waits for the file sees this run's.
func removeReady(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove old ready file: %w", err)
	}
	return nil
}

// readyInUse reports whether the file seems to be that of another process that runs, which
// is not to lose it to one that can't have its addresses.
func readyInUse(path string) bool {
	text, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	var old Ready
	if json.Unmarshal(text, &old) != nil || old.PID <= 0 || old.PID == os.Getpid() {
		return false
	}
	process, err := os.FindProcess(old.PID)
	return err == nil && process.Signal(syscall.Signal(0)) == nil
}
