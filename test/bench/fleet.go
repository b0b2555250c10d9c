package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"strconv"

	"github.com/zerotouch-dps/dps/cli"
)

const (
	fleetDevices = 10_000
	// fleetShare is how far, in percent, a hub's share may be from its weight's.
	fleetShare = 3.0
)

// measureFleet boots ten thousand devices against dps dev with the command that its users have.
func measureFleet(ctx context.Context, l *lab) error {
	d, err := l.startDev(ctx)
	if err != nil {
		return err
	}
	defer d.stop()
	count := fleetDevices
	if l.quick {
		count /= 4
	}
	command := exec.CommandContext(ctx, l.binary, "device", "fleet", "--count", strconv.Itoa(count),
		"--output", "json", "--quiet", "--ready-file", d.readyFile)
	text, err := command.Output()
	if err != nil {
		return fmt.Errorf("dps device fleet: %w: %s", err, text)
	}
	var got cli.FleetReport
	if err := json.Unmarshal(text, &got); err != nil {
		return fmt.Errorf("read report of the fleet: %w", err)
	}
	r := newReport(l.out)
	r.figure("devices assigned", fmt.Sprintf("%d of %d in %.1f s (%.0f a second): %s",
		got.Assigned, got.Devices, got.Seconds, got.PerSecond, mark(got.Assigned == got.Devices)))
	r.figure("connect to assigned, ms", fmt.Sprintf("p50 %v, p99 %v, max %v", got.MillisecondsP["p50"], got.MillisecondsP["p99"], got.MillisecondsP["max"]))
	r.limit("farthest from its weight's share", farthest(got.Hubs, len(d.ready.Hubs), got.Assigned), fleetShare, "%")
	return r.flush()
}

// farthest is how many percent the number of devices in a hub of equal weight is off at
// most; a hub without any is off by 100.
func farthest(devices map[string]int, hubs, total int) float64 {
	if total == 0 || len(devices) < hubs {
		return 100
	}
	most, share := 0.0, float64(total)/float64(hubs)
	for _, n := range devices {
		most = max(most, 100*math.Abs(float64(n)/share-1))
	}
	return most
}
