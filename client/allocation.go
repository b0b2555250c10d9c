package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// maxPlan bounds a line of a plan's answer, in bytes: the last has up to a hundred IDs of
// each pair of hubs.
const maxPlan = 64 << 20

// PlanAllocation says where every device would land, if all registered again after a
// change; progress, unless nil, is told how many devices were looked at. It takes minutes
// for millions. Errors: [*Error], or what the connection says.
func (a *Admin) PlanAllocation(ctx context.Context, scope string, in admin.AllocationPlanRequest, progress func(devices int64)) (admin.AllocationPlan, error) {
	var none admin.AllocationPlan
	body, err := json.Marshal(in)
	if err != nil {
		return none, fmt.Errorf("encode plan: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, join(a.URL, "admin", "v1", "scopes", scope, "allocation:plan"), bytes.NewReader(body))
	if err != nil {
		return none, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.stream(req)
	if err != nil {
		return none, err
	}
	defer resp.Body.Close() //nolint:errcheck // what was read of it counts
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxPlan)
	for lines.Scan() {
		var e admin.AllocationPlanEvent
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return none, fmt.Errorf("read answer: %w", err)
		}
		switch {
		case e.Done != nil:
			return *e.Done, nil
		case e.Failed != nil:
			return none, &Error{Status: http.StatusOK, Code: e.Failed.Code, Message: e.Failed.Message, TrackingID: e.Failed.TrackingID}
		case e.Progress != nil && progress != nil:
			progress(e.Progress.Devices)
		}
	}
	if err := lines.Err(); err != nil {
		return none, fmt.Errorf("read answer: %w", err)
	}
	return none, fmt.Errorf("read answer: %w", io.ErrUnexpectedEOF)
}
