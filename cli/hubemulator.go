package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/internal/wholefile"
	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

type hubEmulatorCmd struct {
	Host      string `required:"" help:"IP address to listen on; it is the hub's name as well."`
	Port      int    `help:"Port. Default: 443 where permitted, else 8443."`
	MQTTPort  int    `name:"mqtt-port" help:"Port where devices connect over MQTT; 0 for none, then only over WebSocket." default:"8883"`
	DeviceCA  string `name:"device-ca" help:"CA certificates (PEM) that devices registered as certificateAuthority chain up to." type:"existingfile"`
	Dir       string `help:"Folder to keep the devices in. Default: in memory." type:"path"`
	Cert      string `required:"" help:"Server certificate (PEM)." type:"existingfile"`
	Key       string `required:"" help:"Its private key (PEM)." type:"existingfile"`
	AccessKey string `help:"Key of the policy iothubowner, base64. Default: a fresh one."`
	ReadyFile string `help:"Where to write the connection string once the hub accepts." type:"path"`
}

// Run serves until the process is told to stop.
func (c hubEmulatorCmd) Run(ctx context.Context, env *Env) error {
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		return fmt.Errorf("load certificate: %w", err)
	}
	if c.AccessKey == "" {
		b := make([]byte, 64)
		if _, err := io.ReadFull(env.Rand, b); err != nil {
			return fmt.Errorf("make key: %w", err)
		}
		c.AccessKey = base64.StdEncoding.EncodeToString(b)
	}
	authorities, err := c.authorities()
	if err != nil {
		return err
	}
	log, err := server.NewLogger(server.Log{Level: "warn", Format: "console"})
	if err != nil {
		return err
	}
	h, err := dev.OpenHub(ctx, dev.HubConfig{
		Dir: c.Dir, Host: c.Host, Port: c.Port, MQTT: c.MQTTPort, Key: dps.NewSecret(c.AccessKey), Now: env.Now, Rand: env.Rand,
		Log: log, Authorities: func(context.Context) ([]*x509.Certificate, error) { return authorities, nil },
		TLS: &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}},
	})
	if err != nil {
		return err
	}
	ready := dev.ReadyHub{HostName: c.Host, ConnectionString: h.Hub.ConnectionString().Reveal(), Port: h.Port(), MQTTPort: h.MQTTPort()}
	if c.ReadyFile != "" {
		text, err := json.Marshal(ready)
		if err != nil {
			return fmt.Errorf("encode ready file: %w", err)
		}
		if err := wholefile.Write(c.ReadyFile, append(text, '\n')); err != nil {
			return err
		}
	}
	say(env.Stdout, "Hub %s listens on port %d.\n%s", ready.HostName, ready.Port, ready.ConnectionString)
	return h.Run(ctx)
}

// authorities reads the CA certificates of devices.
func (c hubEmulatorCmd) authorities() ([]*x509.Certificate, error) {
	if c.DeviceCA == "" {
		return nil, nil
	}
	text, err := os.ReadFile(c.DeviceCA)
	if err != nil {
		return nil, fmt.Errorf("read --device-ca: %w", err)
	}
	var out []*x509.Certificate
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("read --device-ca: %w", err)
		}
		out = append(out, cert)
	}
	if len(out) == 0 {
		return nil, usagef("--device-ca: %s holds no certificate", c.DeviceCA)
	}
	return out, nil
}
