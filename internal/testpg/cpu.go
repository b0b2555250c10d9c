package testpg

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticksPerSecond is the kernel's unit of /proc/*/stat (USER_HZ), fixed on Linux.
const ticksPerSecond = 100

// CPUSeconds sums the processor time of the postmaster, its running children and
// those that have ended. Linux only.
func (s *Server) CPUSeconds() (float64, error) {
	pids := append([]string{strconv.Itoa(s.Pid())}, children(s.Pid())...)
	total := 0.0
	for i, pid := range pids {
		used, reaped, err := processTime(pid)
		if err != nil && i == 0 {
			return 0, err
		}
		// A child that ends meanwhile is counted among the reaped next time.
		total += used
		if i == 0 {
			total += reaped
		}
	}
	return total, nil
}

func children(pid int) []string {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil
	}
	var out []string
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err == nil {
			out = append(out, strings.Fields(string(text))...)
		}
	}
	return out
}

// processTime returns the seconds that a process used, and that its ended children did.
func processTime(pid string) (used, reaped float64, err error) {
	text, err := os.ReadFile(filepath.Join("/proc", pid, "stat"))
	if err != nil {
		return 0, 0, fmt.Errorf("read processor time: %w", err)
	}
	// The name in parentheses may hold blanks; utime is the 14th field, the 12th after it.
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 15 {
		return 0, 0, fmt.Errorf("read processor time: %q", text)
	}
	var ticks [4]float64
	for i := range ticks {
		if ticks[i], err = strconv.ParseFloat(fields[11+i], 64); err != nil {
			return 0, 0, fmt.Errorf("read processor time: %w", err)
		}
	}
	return (ticks[0] + ticks[1]) / ticksPerSecond, (ticks[2] + ticks[3]) / ticksPerSecond, nil
}
