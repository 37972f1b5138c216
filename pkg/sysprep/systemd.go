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
		if strings.HasPrefix(unit, "-") {
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

// UnitOf is the service in whose control group a process is, or "" when it is in none.
func (h *Host) UnitOf(pid int) string {
	groups, err := h.text("proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(groups) {
		path := strings.TrimSpace(line[strings.LastIndexByte(line, ':')+1:])
		if name := path[strings.LastIndexByte(path, '/')+1:]; strings.HasSuffix(name, ".service") {
			return name
		}
	}
	return ""
}
