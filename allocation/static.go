package allocation

import (
	"context"

	"github.com/zerotouch-dps/dps"
)

// static puts a device on the one hub that its enrollment names.
type static struct{}

// Choose fails unless there is exactly one candidate: with Static as the scope's
// default an enrollment must name its hub.
func (static) Choose(_ context.Context, r Request) (Decision, error) {
	if len(r.Candidates) != 1 {
		return Decision{}, dps.Errorf(dps.NoHub, "static allocation needs exactly one hub named by the enrollment, there are %d", len(r.Candidates))
	}
	return Decision{Hub: r.Candidates[0].Hub, Reason: "static"}, nil
}
