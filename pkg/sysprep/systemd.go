package sysprep

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// ErrNoUnit means that systemd does not know a unit.
var ErrNoUnit = errors.New("systemd has no unit")

// systemctlTimeout bounds a question to systemd, which may hang when its bus does.
const systemctlTimeout = 3 * time.Second

// unitProperties are what is asked of a unit, and managerProperties of the manager.
const (
	unitProperties    = "LoadState,MainPID,LimitNOFILE,LimitNOFILESoft,TasksMax,TimeoutStopUSec,MemoryMax,ControlGroup"
	managerProperties = "DefaultLimitNOFILE,DefaultTasksMax"
)

// showUnit asks this machine's systemd for the properties of a unit, or of the manager when unit is "".
func showUnit(unit string) (map[string]string, error) {
	args := []string{"show", "-p", managerProperties}
	if unit != "" {
		if !ValidUnit(unit) {
			return nil, fmt.Errorf("%.80q is no unit", unit)
		}
		args = []string{"show", "-p", unitProperties, "--", unit}
	}
	ctx, cancel := context.WithTimeout(context.Background(), systemctlTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, "systemctl", args...).Output()
	var exit *exec.ExitError
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("there is no systemctl, so systemd does not run here")
	case ctx.Err() != nil:
		return nil, fmt.Errorf("systemd does not answer within %v", systemctlTimeout)
	case errors.As(err, &exit):
		first, _, _ := strings.Cut(strings.TrimSpace(string(exit.Stderr)), "\n")
		return nil, fmt.Errorf("systemd cannot be asked: %.120q", first)
	case err != nil:
		return nil, fmt.Errorf("ask systemd: %w", err)
	}
	return parseProperties(string(out)), nil
}

// parseProperties reads lines of KEY=VALUE.
func parseProperties(s string) map[string]string {
	properties := make(map[string]string)
	for line := range strings.Lines(s) {
		if key, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			properties[key] = value
		}
	}
	return properties
}

// MainPID is the main process of a unit. It is an error when systemd cannot tell, or the unit does not run.
func (h *Host) MainPID(unit string) (int, error) {
	properties, err := h.systemd(unit)
	if err != nil {
		return 0, err
	}
	if properties["LoadState"] == "not-found" {
		return 0, fmt.Errorf("%w %.80q", ErrNoUnit, unit)
	}
	pid, err := strconv.Atoi(properties["MainPID"])
	if err != nil || pid <= 0 {
		return 0, fmt.Errorf("%.80q does not run: it has no main process", unit)
	}
	return pid, nil
}

// maxUnitBytes is how long the name of a unit may be, as systemd has it.
const maxUnitBytes = 255

// ValidUnit reports whether s can be the name of a unit, with or without its suffix: only what systemd allows in one. Such
// a name is safe in a path, and but for its backslashes in a shell's command.
func ValidUnit(s string) bool {
	return s != "" && len(s) <= maxUnitBytes && s[0] != '-' && s[0] != '.' && !strings.ContainsFunc(s, func(r rune) bool {
		return !isWordRune(r) && !strings.ContainsRune(`:-_.\@`, r)
	})
}

// UnitOf is the service in whose control group a process is, or "" when it is in none that this machine's own systemd
// keeps. What is below a user's systemd, or a container's, is named by whoever owns that.
func (h *Host) UnitOf(pid int) string {
	groups, err := h.text("proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(groups) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3) // id, controllers, path
		if unit := serviceOf(parts[len(parts)-1]); unit != "" {
			return unit
		}
	}
	return ""
}

// serviceOf is the service at the end of a control group's path: one of the system's own has only slices above it.
func serviceOf(path string) string {
	parts := strings.Split(strings.TrimPrefix(path, "/"), "/")
	unit := parts[len(parts)-1]
	for _, slice := range parts[:len(parts)-1] {
		if !strings.HasSuffix(slice, ".slice") {
			return ""
		}
	}
	if !strings.HasSuffix(unit, ".service") || !ValidUnit(unit) {
		return ""
	}
	return unit
}
