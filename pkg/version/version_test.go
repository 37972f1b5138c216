package version

import (
	"runtime/debug"
	"testing"
)

func TestFromBuildInfo(t *testing.T) {
	tests := []struct {
		version  string
		settings []debug.BuildSetting
		want     string
	}{
		{"", nil, "devel"},
		{"(devel)", nil, "devel"},
		{"v1.2.3", nil, "1.2.3"},
		{"v0.0.0-20260101000000-1a2b3c4d5e6f+dirty", nil, "0.0.0-20260101000000-1a2b3c4d5e6f+dirty"},
		{"(devel)", []debug.BuildSetting{{Key: "vcs.revision", Value: "1a2b3c4d5e6f7a8b9c0d"}}, "devel+1a2b3c4d5e6f"},
		{"", []debug.BuildSetting{{Key: "vcs.revision", Value: "1a2b"}, {Key: "vcs.modified", Value: "true"}}, "devel+1a2b.dirty"},
		{"", []debug.BuildSetting{{Key: "vcs.modified", Value: "true"}}, "devel"},
	}
	for _, tt := range tests {
		info := &debug.BuildInfo{Main: debug.Module{Version: tt.version}, Settings: tt.settings}
		if got := fromBuildInfo(info); got != tt.want {
			t.Errorf("fromBuildInfo(%q, %v) = %q, want %q", tt.version, tt.settings, got, tt.want)
		}
	}
}

func TestOverrideWins(t *testing.T) {
	if got := String(); got == "" {
		t.Error("String() is empty")
	}
	override = "9.8.7"
	defer func() { override = "" }()
	if got := String(); got != "9.8.7" {
		t.Errorf("String() = %q, want the override 9.8.7", got)
	}
}
