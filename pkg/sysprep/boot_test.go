package sysprep

import (
	"os"
	"strings"
	"testing"
)

// A file that is read before ours may set more than the running kernel has. Ours does not take that back at the next boot.
func TestNextBootIsNotLower(t *testing.T) {
	h, c := fixHost(t, map[string]string{"etc/sysctl.d/50-admin.conf": "net.core.somaxconn = 65535\nfs.* = 9\nfs.nr_open = 5\n"})
	p, _ := MakePlan(h, fixTarget, fixOnly)
	if _, err := c.Apply(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if got, want := read(t, c, SysctlFile), fileHead+"fs.nr_open = 1104096\nnet.core.somaxconn = 65535\n"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	if got := read(t, c, "proc/sys/net/core/somaxconn"); got != "16384\n" {
		t.Errorf("the kernel has %q, want what was asked for", got)
	}
}

// What belongs to a child network namespace is not written where another one reads it at its boot.
func TestChildNamespaceKeepsToItself(t *testing.T) {
	h, c := fixHost(t, nil)
	if err := os.Remove(c.path("proc/sys/net/ipv4/tcp_mem")); err != nil { // no child has it
		t.Fatal(err)
	}
	before := tree(t, c)
	p, _ := MakePlan(h, fixTarget, Selection{Only: []string{"net.core.somaxconn", "fs.nr_open"}})
	p, err := c.Apply(t.Context(), p)
	if err != nil || p.Count(StepDone) != 2 {
		t.Fatalf("Apply: %v, %+v, want both done", err, p.Steps)
	}
	if got, want := read(t, c, SysctlFile), fileHead+"fs.nr_open = 1104096\n"; got != want {
		t.Errorf("the file holds %q, want %q", got, want)
	}
	for _, s := range p.Steps {
		if own := strings.HasPrefix(s.Note, "This is a network namespace of its own"); own != (s.Key == "net.core.somaxconn") {
			t.Errorf("the note of %s is %q", s.Key, s.Note)
		}
	}
	if _, err := c.Undo(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if got := changes(before, tree(t, c)); got != nil {
		t.Errorf("after undo %q differ", got)
	}
}
