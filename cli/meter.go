package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/zerotouch-dps/dps/openapi/admin"
)

// meter shows how far an import got, at which rate, and when it will be done.
type meter struct {
	bar   *progressbar.ProgressBar
	size  int64 // of the file; -1: unknown
	now   func() time.Time
	began time.Time
	first int64 // row that it began with
}

// meter draws only for a person: where standard error is a terminal.
func (c enrollmentImportCmd) meter(env *Env) *meter {
	m := &meter{size: c.size(), now: env.Now, began: env.Now(), first: -1}
	w, visible := env.Stderr, !c.Quiet && isTerminal(env.Stderr)
	if !visible {
		w = io.Discard
	}
	m.bar = progressbar.NewOptions64(m.size, progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true),
		progressbar.OptionSetVisibility(visible), progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(m.size > 0), progressbar.OptionClearOnFinish())
	return m
}

// size is how long the text is; unknown for standard input and packed files.
func (c enrollmentImportCmd) size() int64 {
	if c.File == "-" || strings.HasSuffix(strings.ToLower(c.File), ".gz") {
		return -1
	}
	info, err := os.Stat(c.File)
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	return info.Size()
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

func (m *meter) show(p admin.ImportProgress) {
	if m.first < 0 {
		m.first = p.Row - (p.Created + p.Replaced + p.Unchanged + p.Rejected)
	}
	rate := float64(p.Row-m.first) / max(m.now().Sub(m.began).Seconds(), 0.001)
	m.bar.Describe(fmt.Sprintf("%d rows, %.0f rows/s", p.Row, rate))
	_ = m.bar.Set64(p.Offset) // a bar that can't be drawn harms nobody
}

func (m *meter) end() { _ = m.bar.Finish() }
