package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ticksPerSecond is the kernel's unit of /proc/*/stat (USER_HZ), fixed on Linux.
const ticksPerSecond = 100

// cpuSeconds is the processor time that a process used so far, user and system.
func cpuSeconds(pid int) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return parseStat(string(text))
}

// parseStat reads utime and stime, the 14th and 15th field (proc_pid_stat(5)). The
// name in the second may hold blanks and parentheses.
func parseStat(text string) (float64, error) {
	end := strings.LastIndex(text, ") ")
	if end < 0 {
		return 0, errors.New("read processor time: no process name")
	}
	fields := strings.Fields(text[end+2:])
	if len(fields) < 13 {
		return 0, errors.New("read processor time: too few fields")
	}
	user, uerr := strconv.ParseUint(fields[11], 10, 64)
	system, serr := strconv.ParseUint(fields[12], 10, 64)
	if err := errors.Join(uerr, serr); err != nil {
		return 0, fmt.Errorf("read processor time: %w", err)
	}
	return float64(user+system) / ticksPerSecond, nil
}

// residentBytes is the physical memory that a process occupies.
func residentBytes(pid int) (float64, error) { return memoryBytes(pid, "VmRSS:") }

// ownBytes is what of that is its own, and not the page cache of a file that it maps.
func ownBytes(pid int) (float64, error) { return memoryBytes(pid, "RssAnon:") }

func memoryBytes(pid int, field string) (float64, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	return parseMemory(string(text), field)
}

// parseMemory reads a line like "VmRSS:	  1234 kB".
func parseMemory(text, field string) (float64, error) {
	for line := range strings.Lines(text) {
		value, found := strings.CutPrefix(line, field)
		if !found {
			continue
		}
		kb, err := strconv.ParseUint(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read memory: %w", err)
		}
		return float64(kb) * 1024, nil
	}
	return 0, errors.New("read memory: no " + field)
}
