package memory_test

import (
	"testing"

	"github.com/zerotouch-dps/dps/hub/hubtest"
	"github.com/zerotouch-dps/dps/hub/memory"
)

func TestRegistry(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, func(*testing.T) hubtest.Subject {
		r := memory.New()
		return hubtest.Subject{Registry: r, SetEnabled: r.SetEnabled}
	})
}
