// Package version says which holdfast this is.
package version

import (
	"runtime/debug"
	"strings"
)

// override replaces what the build information says: go build -ldflags "-X holdfast/pkg/version.override=1.2.3".
var override string

// String returns the version of this binary: the module's version if it has one, else "devel", followed by the
// revision it was built from where the build recorded it, as in "devel+1a2b3c4d5e6f" or "devel+1a2b3c4d5e6f.dirty".
func String() string {
	if override != "" {
		return override
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	return fromBuildInfo(info)
}

func fromBuildInfo(info *debug.BuildInfo) string {
	v := strings.TrimPrefix(info.Main.Version, "v")
	if v != "" && v != "(devel)" {
		return v // since Go 1.24 this holds the tag or pseudo-version, revision and "+dirty" included
	}
	var revision, dirty string
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			revision = s.Value
		case "vcs.modified":
			if s.Value == "true" {
				dirty = ".dirty"
			}
		}
	}
	if revision == "" {
		return "devel"
	}
	return "devel+" + revision[:min(len(revision), 12)] + dirty
}
