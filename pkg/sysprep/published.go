package sysprep

import (
	"embed"
	"fmt"
	"slices"
)

//go:embed published/*.conf
var publishedFiles embed.FS

// publishedTuning is one of the tunings for very many connections that people copy.
type publishedTuning struct {
	name, title string
	beside      []limitSetting // what its authors set elsewhere
}

const (
	onlyLogins = "limits.conf is read by PAM at a login: neither services of systemd nor containers get it."
	onlyShell  = "It is for the shell in which it stands, and what that starts: no service and no container gets it."
)

// publishedN is the number of connections that all of them are for.
const publishedN = 1_000_000

var publishedTunings = []publishedTuning{
	{name: "pushpin", title: "Pushpin c1m, on 32 GB of memory", beside: []limitSetting{
		{where: "LimitNOFILE of the unit", value: 1_010_000},
	}},
	{name: "appwrite", title: "Appwrite, a million connections, on 128 GB of memory", beside: []limitSetting{
		{where: "ulimit -n", value: 4_000_000, reaches: onlyShell},
		{where: "limits.conf", reaches: onlyLogins},
	}},
	{name: "netty", title: "Netty, a million connections", beside: []limitSetting{
		{where: "limits.conf nofile", value: 2_000_000, reaches: onlyLogins},
		{where: "echo > /proc/sys/...", reaches: "Lost at the next boot; a file in /etc/sysctl.d is not."},
		{where: "java -Xss1M, ulimit -s", reaches: "Stacks belong to threads, and event loops have few of them."},
	}},
}

// Published lists the names of the tunings that can be audited without a file.
func Published() []string {
	names := make([]string, len(publishedTunings))
	for i, p := range publishedTunings {
		names[i] = p.name
	}
	return names
}

// PublishedTuning returns the tuning of that name, which Published lists.
func PublishedTuning(name string) (Tuning, bool) {
	i := slices.IndexFunc(publishedTunings, func(p publishedTuning) bool { return p.name == name })
	if i < 0 {
		return Tuning{}, false
	}
	p := publishedTunings[i]
	text, err := publishedFiles.ReadFile("published/" + name + ".conf")
	if err != nil {
		panic(fmt.Sprintf("sysprep: %v", err)) // built in
	}
	t, err := ParseTuning(name, text)
	if err != nil {
		panic(fmt.Sprintf("sysprep: %v", err))
	}
	t.Title, t.N, t.beside = p.title, publishedN, p.beside
	return t, true
}
