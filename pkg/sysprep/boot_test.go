package sysprep

import (
	"errors"
	"os"
	"strings"
	"syscall"
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

// systemd makes the settings of /etc/sysctl.conf only where a link leads to it, so they do not
// count otherwise.
func TestSysctlConfCountsWhereBootReadsIt(t *testing.T) {
	const more = "net.core.somaxconn = 65535\n"
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, c *Changer)
		want   string // in our file
		noted  bool   // that it is not read
	}{
		{"no link", func(*testing.T, *Changer) {}, "16384", true},
		{"a link", func(t *testing.T, c *Changer) {
			link(t, "../sysctl.conf", c.path("etc/sysctl.d/99-sysctl.conf"))
		}, "65535", false},
		{"an absolute link", func(t *testing.T, c *Changer) {
			link(t, "/etc/sysctl.conf", c.path("etc/sysctl.d/99-sysctl.conf"))
		}, "65535", false},
		{"no systemd", func(t *testing.T, c *Changer) {
			for _, dir := range []string{"run/systemd", "etc/systemd"} {
				if err := os.RemoveAll(c.path(dir)); err != nil {
					t.Fatal(err)
				}
			}
		}, "65535", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, c := fixHost(t, map[string]string{"etc/sysctl.conf": more})
			tt.change(t, c)
			f := one(t, h, "sysctl.drift", fixTarget)
			if got := strings.Contains(f.Note, "boot does not read /etc/sysctl.conf"); got != tt.noted {
				t.Errorf("the note is %q, want one: %v", f.Note, tt.noted)
			}
			p, _ := MakePlan(h, fixTarget, Selection{Only: []string{"net.core.somaxconn"}})
			if _, err := c.Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			if got, want := read(t, c, SysctlFile), fileHead+"net.core.somaxconn = "+tt.want+"\n"; got != want {
				t.Errorf("the file holds %q, want %q", got, want)
			}
		})
	}
}

// Absolute links of a copy lead to files of the copy. One to /dev/null switches a file off; it does
// not end the look.
func TestAbsoluteLinksOfACopy(t *testing.T) {
	h, c := fixHost(t, map[string]string{
		"etc/sysctl.d/50-a.conf":           "fs.nr_open = 5\n",
		"usr/lib/sysctl.d/10-network.conf": "fs.nr_open = 9\n",
		"data/fs/nr_open":                  "1048576\n",
		"data/systemd/x":                   "",
	})
	link(t, "/dev/null", c.path("etc/sysctl.d/50-a.conf"))
	link(t, "/data/fs/nr_open", c.path("proc/sys/fs/nr_open"))
	link(t, "/data/systemd", c.path("etc/systemd/system"))
	settings, err := h.sysctlFiles()
	if err != nil || len(settings) != 1 || settings[0].Key != "net.ipv4.conf.all.rp_filter" {
		t.Errorf("sysctlFiles = %+v, %v, want the one setting of 10-network.conf", settings, err)
	}
	p, _ := MakePlan(h, fixTarget, fixOnly)
	p, err = c.Apply(t.Context(), p)
	if err != nil || p.Count(StepDone) != 3 {
		t.Errorf("Apply: %v, %+v, want all done", err, p.Steps)
	}
	for _, name := range []string{"data/systemd/pushd.service.d/90-holdfast.conf", "data/fs/nr_open"} {
		if got := read(t, c, name); got == "(none)" || got == "1048576\n" {
			t.Errorf("%s holds %q", name, got)
		}
	}
	// links that turn in a circle, or climb above the root
	link(t, "/etc/sysctl.d/61-b.conf", c.path("etc/sysctl.d/60-b.conf"))
	link(t, "/etc/sysctl.d/60-b.conf", c.path("etc/sysctl.d/61-b.conf"))
	link(t, "../../../../../../etc/sysctl.d/10-network.conf", c.path("etc/sysctl.d/70-up.conf"))
	if text, err := h.text("etc/sysctl.d/70-up.conf"); err != nil || !strings.Contains(text, "rp_filter") {
		t.Errorf("a link above the root: %q, %v, want the file below the root, as after chroot", text, err)
	}
	if _, err := h.text("etc/sysctl.d/60-b.conf"); !errors.Is(err, syscall.ELOOP) {
		t.Errorf("links in a circle: %v, want ELOOP", err)
	}
}

// link makes a symbolic link, in place of what there is.
func link(t *testing.T, to, from string) {
	t.Helper()
	if err := os.RemoveAll(from); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(to, from); err != nil {
		t.Fatal(err)
	}
}
