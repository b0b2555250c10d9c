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
	if !r.Named || len(r.Candidates) != 1 {
		return Decision{}, dps.Errorf(dps.NoHub, "static allocation needs an enrollment that names exactly one hub")
	}
	return Decision{Hub: r.Candidates[0].Hub, Reason: "static"}, nil
}
