package sysprep

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A process of no service, or of one that systemd does not have, gets no drop-in that nobody reads.
func TestUnitThatIsNone(t *testing.T) {
	limits := map[string]string{"proc/77/limits": "Max open files            1024                 1024                 files\n"}
	h, c := fixHost(t, limits)
	before := tree(t, c)
	only := Selection{Only: []string{"rlimit.nofile"}}
	p, _ := MakePlan(h, Target{N: 1_000_000, PID: 77}, only)
	p, err := c.Apply(t.Context(), p)
	if err != nil || p.Count(StepBlocked) != 1 || !strings.HasPrefix(p.Steps[0].Reason, "Process 77 belongs to no service") {
		t.Errorf("a process of no service: %v, %+v, want it blocked", err, p.Steps)
	}
	for state, want := range map[string]string{"not-found": "systemd has no pushd.service yet", "masked": `it is "masked"`} {
		h.systemd = func(string) (map[string]string, error) { return map[string]string{"LoadState": state}, nil }
		p, _ = MakePlan(h, fixTarget, only)
		if p, err = c.Apply(t.Context(), p); err != nil || p.Count(StepBlocked) != 1 || !strings.Contains(p.Steps[0].Reason, want) {
			t.Errorf("a unit that is %s: %v, %+v, want it blocked", state, err, p.Steps)
		}
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("blocked steps change %q", got)
	}
	p.Unit, p.Steps[0].State = "x y;z.service", StepPlanned
	if _, err := c.Apply(t.Context(), p); err == nil || !strings.Contains(err.Error(), `"x y;z.service" is no unit`) {
		t.Errorf("Apply for what is no unit: %v, want an error", err)
	}
}

// That the file cannot be corrected after a refusal does not leave the drop-in's steps without an outcome.
func TestDropInIsReadThoughTheFileCannotBeCorrected(t *testing.T) {
	h, c := fixHost(t, nil)
	reloads := 0
	c.Reload = func(context.Context) error { reloads++; return nil }
	c.Show = func(string) (map[string]string, error) {
		return map[string]string{"LoadState": "loaded", "LimitNOFILE": "1021024"}, nil
	}
	c.writeLive = func(file, value string) error {
		if strings.HasSuffix(file, "somaxconn") {
			if err := os.RemoveAll(c.path(stateDir)); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(c.path(stateDir), nil, 0o600); err != nil { // no record can be written from now on
				t.Fatal(err)
			}
			return syscall.EINVAL
		}
		return writeSetting(file, value)
	}
	p, _ := MakePlan(h, fixTarget, fixOnly)
	p, err := c.Apply(t.Context(), p)
	if err == nil || p.Count(StepPlanned) > 0 || p.Count(StepDone) != 2 || reloads != 1 {
		t.Errorf("Apply: %v, %+v, %d reloads; want an error, two steps done and one refused", err, p.Steps, reloads)
	}
}
