package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/zerotouch-dps/dps/server"
	"github.com/zerotouch-dps/dps/server/dev"
)

type devCmd struct {
	Dir        string         `help:"Data folder." default:".dps" type:"path"`
	ReadyFile  string         `help:"Where to write addresses and credentials once every listener accepts. Default: ready.json in the data folder." type:"path"`
	Listen     string         `help:"Loopback address; the hubs take the next ones." default:"127.0.0.1"`
	HTTPSPort  int            `name:"https-port" help:"Port of the device endpoint and of the hubs. Default: 443 where permitted, else 8443."`
	AdminPort  int            `help:"Port of the operator's API." default:"9443"`
	Store      string         `help:"Store: sqlite:PATH or postgres://… Default: an SQLite file in the data folder."`
	InMemory   bool           `help:"Keep nothing: store and hubs in memory."`
	Hubs       int            `help:"How many embedded hubs." default:"2"`
	LogLevel   string         `help:"debug, info, warn or error." default:"warn"`
	AssignWait *time.Duration `help:"How long register waits for the assignment; 0s answers assigning at once, as the original does."`
	GeoIP      string         `name:"geoip" placeholder:"FILE" help:"GeoIP database (.mmdb) by which the policy geoLatency locates devices." type:"path"`
	Lease      time.Duration  `help:"How long a replica works on an operation before another takes over." default:"60s" hidden:""`
}

// Run serves until the process is told to stop.
func (c devCmd) Run(ctx context.Context, env *Env) error {
	logging := server.Log{Level: c.LogLevel, Format: "console"}
	log, err := server.NewLogger(logging)
	if err != nil {
		return usagef("--log-level: %v", err)
	}
	d, err := dev.Open(ctx, dev.Config{
		Dir: c.Dir, ReadyFile: c.ReadyFile, Listen: c.Listen, HTTPSPort: c.HTTPSPort, AdminPort: c.AdminPort,
		Store: c.Store, InMemory: c.InMemory, Hubs: c.Hubs, Log: logging,
		Assign: server.Assign{Wait: c.AssignWait, Lease: c.Lease}, GeoIP: server.GeoIP{File: c.GeoIP},
		Tell: func(line string) { say(env.Stdout, "%s", line) },
	}, server.Env{Log: log, Now: env.Now, Rand: env.Rand, Version: version()})
	if err != nil {
		return err
	}
	return d.Run(ctx, func(r dev.Ready) { say(env.Stdout, "%s", welcome(r, c.readyFlag())) })
}

// readyFlag is what client commands need to find this server.
func (c devCmd) readyFlag() string {
	if c.ReadyFile == "" && strings.HasSuffix(c.Dir, "/.dps") {
		if wd, err := os.Getwd(); err == nil && c.Dir == wd+"/.dps" {
			return ""
		}
	}
	if c.ReadyFile != "" {
		return " --ready-file " + c.ReadyFile
	}
	return " --ready-file " + c.Dir + "/ready.json"
}

// welcome says in plain words what runs where, and how to boot a first device.
func welcome(r dev.Ready, readyFlag string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	program := os.Args[0]
	line("dps is ready.")
	line("")
	line("  Devices connect to   %s (HTTPS and WebSockets %d, MQTT %d, AMQP %d), ID scope %s", r.DeviceHost, r.Ports.HTTPS, r.Ports.MQTT, r.Ports.AMQP, r.IDScope)
	line("  They must trust      %s", r.CAFile)
	line("  Service SDKs use     %s", r.ServiceConnectionString)
	for _, h := range r.Hubs {
		line("  Hub                  %s (HTTPS and WebSockets %d, MQTT %d)", h.HostName, h.Port, h.MQTTPort)
	}
	line("  Operator's API       %s/admin/v1, token in %s/admin-token", r.Admin.URL, r.Dir)
	line("  Everything is kept   in %s", r.Dir)
	if r.Ports.HTTPS != 443 {
		line("")
		line("  Port 443 is not permitted here, and many device SDKs know no other. To allow it:")
		line("  sudo sysctl net.ipv4.ip_unprivileged_port_start=443")
	}
	line("")
	line("Boot a first device (in another terminal):")
	line("")
	line("  %s device register --registration-id my-first-device --new --enroll%s", program, readyFlag)
	line("")
	line("Stop with Ctrl-C.")
	return b.String()
}
