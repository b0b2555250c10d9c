package scope

import (
	"strconv"
	"time"

	"github.com/zerotouch-dps/dps"
)

// Bounds of moves.
const (
	MaxMoves     = 16        // of a scope that are not at their end
	KeptMoves    = 100       // that are; the oldest are forgotten
	MaxPace      = 1_000_000 // devices a minute
	maxMoveHubs  = 100
	maxMoveActor = 256 // bytes
)

// MoveState is how far a move is; the texts are the wire's.
type MoveState string

// The states. While a move is running or paused, the devices that it selects stay where
// they are unless it moves them.
const (
	MoveRunning MoveState = "running"
	MovePaused  MoveState = "paused"
	MoveStopped MoveState = "stopped" // by an operator
	MoveDone    MoveState = "done"    // all that were selected have moved
)

// MoveData is what becomes of the data of a device that a move takes to another hub.
type MoveData string

// What becomes of it. As the enrollment says is the default; migrate, where that says
// never.
const (
	DataAsEnrolled MoveData = ""
	MigrateData    MoveData = "migrate"
	ResetData      MoveData = "reset"
)

// Selection says which devices a move is about, of those that registered before it was
// made. Zero members mean any; texts compare folded.
type Selection struct {
	Hubs       []string // host names, of which they are in one
	Group      string   // enrollment group by which they come
	Individual string   // registration ID
	Prefix     string   // beginning of the registration ID
	// Percent of these, by a hash of the registration ID: of two moves the one with less
	// has devices that are among those of the one with more. 0: all.
	Percent int
}

// Move takes devices to another hub as they register again, so many a minute.
type Move struct {
	ID   string // random; marks what it moved
	Name string // as written; unique in the scope when folded
	Selection
	// To is the hub that they go to; empty: where the policy says.
	To   string
	Data MoveData
	// IncludeNever moves devices, too, whose reprovision policy is never.
	IncludeNever bool
	Pace         int // devices a minute, 1 to MaxPace
	State        MoveState
	Counts       MoveCounts
	By           string // who made it
	ETag         dps.ETag
	Created      time.Time
	Updated      time.Time // when its state or pace was set
	Ended        time.Time // zero: it has not
}

// MoveRef names a move.
type MoveRef struct {
	Scope dps.IDScope
	ID    string
}

// MoveCounts are what a move has done. Those that have begun and neither moved nor failed
// are on their way.
type MoveCounts struct {
	Selected int64 // devices that it selects; -1: they are not counted yet
	Begun    int64 // operations
	Moved    int64 // devices
	Failed   int64 // operations; the devices try again when they register again
}

// Active reports whether the move is not at its end.
func (m *Move) Active() bool { return m.State == MoveRunning || m.State == MovePaused }

// Interval is the time between two devices at the move's pace.
func (m *Move) Interval() time.Duration { return time.Minute / time.Duration(max(1, m.Pace)) }

// Validate holds the members to their rules. Errors: [dps.InvalidArgument].
func (m *Move) Validate() error {
	if err := dps.CheckID("name", m.Name); err != nil {
		return err
	}
	if m.Pace < 1 || m.Pace > MaxPace {
		return dps.Invalid("pace", "range", "must be 1 to "+strconv.Itoa(MaxPace)+" devices a minute")
	}
	switch m.Data {
	case DataAsEnrolled, MigrateData, ResetData:
	default:
		return dps.Invalid("data", "enum", "must be migrate or reset")
	}
	if m.Percent < 0 || m.Percent > 100 {
		return dps.Invalid("percent", "range", "must be 1 to 100, or 0 for all")
	}
	if len(m.Hubs) > maxMoveHubs {
		return dps.Invalid("from", "length", "must name at most 100 hubs")
	}
	for _, h := range m.Hubs {
		if dps.FoldASCII(h) == dps.FoldASCII(m.To) {
			return dps.Invalid("to", "unique", "must be another hub than those to move from")
		}
	}
	return m.checkTexts()
}

func (m *Move) checkTexts() error {
	prefix := m.Prefix
	if prefix != "" {
		prefix += "0" // it may end with what an ID may not
	}
	for field, text := range map[string]string{"enrollmentGroup": m.Group, "registrationId": m.Individual, "idPrefix": prefix} {
		if text == "" {
			continue
		}
		if err := dps.CheckID(field, text); err != nil {
			return err
		}
	}
	m.By = m.By[:min(len(m.By), maxMoveActor)]
	return nil
}
