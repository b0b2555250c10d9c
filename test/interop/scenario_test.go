package interop_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestScenarios plays the pages of docs/scenarios, command by command, with the public
// SDKs, and holds what they show of the output to what was printed.
func TestScenarios(t *testing.T) {
	binary := build(t)
	example := copyExample(t)
	run(t, exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(filepath.Dir(binary), "ownership"), "../../examples/ownership"))
	for n, page := range []string{
		"initial-setup", "single-hub", "load-balancing", "ownership", "change-of-owner", "retrieve-a-key", "roll-a-key", "hard-reset",
	} {
		t.Run(page, func(t *testing.T) {
			host := 120 + 4*n
			listen := fmt.Sprintf("127.0.0.%d", host)
			r, file := startDev(t, binary, listen, 443)
			hubs := strings.NewReplacer("127.0.0.2", r.Hubs[0].HostName, "127.0.0.3", r.Hubs[1].HostName)
			text, err := os.ReadFile("../../docs/scenarios/" + page + ".md")
			if err != nil {
				t.Fatal(err)
			}
			steps := stepsOf(hubs.Replace(string(text)))
			c := exec.CommandContext(t.Context(), "bash", "-c", script(steps))
			c.Dir = example
			c.Env = append(os.Environ(), "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"), "DPS_READY_FILE="+file, "NODE_EXTRA_CA_CERTS="+r.CAFile, "NODE_NO_WARNINGS=1")
			out, err := c.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			judge(t, steps, strings.Split(string(out), mark)[1:])
		})
	}
}

// copyExample returns a folder of its own with the example and the pinned packages.
func copyExample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "device.mjs", "hub.mjs"} {
		text, err := os.ReadFile("../../examples/node/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	c.Dir = dir
	run(t, c)
	return dir
}

// step is a command of a page and what the page shows of its output.
type step struct{ command, shown string }

// stepsOf returns the commands of a page's console blocks.
func stepsOf(page string) []step {
	var steps []step
	for _, block := range regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(page, -1) {
		for line := range strings.Lines(block[1]) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				steps = append(steps, step{command: strings.TrimSpace(command)})
				continue
			}
			steps[len(steps)-1].shown += line
		}
	}
	return steps
}

// mark stands before the output of each command.
const mark = "\x1e"

// script runs all commands in one shell; what they left running ends with it.
func script(steps []step) string {
	var b strings.Builder
	b.WriteString("trap 'kill $(jobs -p) 2>/dev/null' EXIT\n")
	for _, s := range steps {
		fmt.Fprintf(&b, "printf '%s'\n%s\n", mark, s.command)
	}
	return b.String() + "true\n"
}

func judge(t *testing.T, steps []step, outputs []string) {
	t.Helper()
	if len(outputs) != len(steps) {
		t.Fatalf("%d of %d commands ran", len(outputs), len(steps))
	}
	for i, s := range steps {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(strings.TrimSpace(s.shown)), "…", ".*")
		if got := strings.TrimSpace(outputs[i]); !regexp.MustCompile("(?s)^" + pattern + "$").MatchString(got) {
			t.Errorf("$ %s\nprinted\n%s\nthe page shows\n%s", s.command, got, s.shown)
		}
	}
}
