package interop_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/zerotouch-dps/dps/internal/testgeo"
)

// TestLocation plays docs/scenarios/location.md: devices of the public Node.js SDK boot at
// a plant and in two cities, and each is put on the hub that is nearest.
func TestLocation(t *testing.T) {
	t.Parallel()
	const plant, lisbon, boston = "127.0.57.1", "127.0.58.1", "127.0.59.1"
	binary := build(t)
	install(t)
	places := testgeo.File(t, map[string]testgeo.Place{
		lisbon + "/32": {Country: "PT", Lat: 38.7, Lon: -9.1}, boston + "/32": {Country: "US", Lat: 42.4, Lon: -71.1},
	})
	r, file := startDev(t, binary, "127.0.0.112", 8443, "--geoip", places)
	amsterdam, virginia := r.Hubs[0].HostName, r.Hubs[1].HostName
	dps := func(stdin string, arguments ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), binary, append(arguments, "--ready-file", file)...)
		c.Stdin = strings.NewReader(stdin)
		out, err := c.Output()
		if err != nil {
			t.Fatalf("dps %v: %v\n%s", arguments, err, out)
		}
		return string(out)
	}
	dps("", "hub", "update", amsterdam, "--location", "westeurope")
	dps("", "hub", "update", virginia, "--location", "eastus")
	dps("network,name,location,hubs\n"+plant+",plant 7,\"39.9,-75.2\",\n", "site", "set", "-")
	var group struct {
		Attestation struct{ SymmetricKey struct{ PrimaryKey string } }
	}
	if err := json.Unmarshal([]byte(dps("", "group", "create", "pumps", "--allocation-policy", "geoLatency", "-o", "json")), &group); err != nil {
		t.Fatal(err)
	}
	boot := func(from, id, hub, payload string) {
		t.Helper()
		port := relay(t, from, net.JoinHostPort(r.DeviceHost, strconv.Itoa(r.Ports.HTTPS)))
		env := append(os.Environ(), "NODE_EXTRA_CA_CERTS="+r.CAFile, "DPS_READY="+file, "DPS_HTTPS_PORT="+strconv.Itoa(port),
			"DPS_GROUP_KEY="+group.Attestation.SymmetricKey.PrimaryKey, "DPS_ID="+id, "DPS_HUB="+hub, "DPS_PAYLOAD="+payload)
		client(t, env, "node", node(t, "location.test.mjs"))
	}
	boot(plant, "pump-plant", virginia, "")
	boot(lisbon, "pump-lisbon", amsterdam, "")
	boot(boston, "pump-boston", virginia, "")
	boot(lisbon, "pump-satellite", virginia, `{"dps":{"latency":{"`+amsterdam+`":340,"`+virginia+`":85}}}`)
	boot(lisbon, "pump-neighbour", amsterdam, "")
	if out := dps("", "device", "explain", "pump-new", "--from", boston); !strings.Contains(out, "by geoip geo/US/") || !strings.Contains(out, virginia) {
		t.Errorf("explained:\n%s", out)
	}
	if out := dps("", "state"); !strings.Contains(out, filepath.Base(places)) {
		t.Errorf("state:\n%s", out)
	}
}

// relay is where a device reaches the server as one from an address does.
func relay(t *testing.T, from, to string) (port int) {
	t.Helper()
	host, _, err := net.SplitHostPort(to)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	t.Cleanup(func() {
		stop()
		_ = l.Close()
	})
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: 10 * time.Second}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			up, err := dialer.DialContext(ctx, "tcp", to)
			if err != nil {
				_ = c.Close()
				continue
			}
			for _, way := range [][2]net.Conn{{c, up}, {up, c}} {
				go func() {
					_, _ = io.Copy(way[0], way[1])
					_ = way[0].Close()
				}()
			}
		}
	}()
	return l.Addr().(*net.TCPAddr).Port
}
