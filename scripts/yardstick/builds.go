package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// build is one of the two that are compared.
type build struct {
	name string // "old" or "new"
	bin  string // directory of its binaries
	hash string // of its pushd
}

// resolve returns the build in dir. dir is a directory of binaries, or a source tree, which is
// built into scratch first, as make does it: what stands in the bin/ of a source tree may be of
// another day, or of another Go.
func resolve(ctx context.Context, name, dir, scratch string) (build, error) {
	b := build{name: name, bin: dir}
	if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
		if b.bin, err = filepath.Abs(filepath.Join(scratch, name)); err != nil {
			return b, err
		}
		make := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", b.bin+"/", "./cmd/...")
		make.Dir = dir
		if out, err := make.CombinedOutput(); err != nil {
			return b, fmt.Errorf("build %s: %w\n%s", dir, err, out)
		}
	}
	f, err := os.Open(filepath.Join(b.bin, "pushd"))
	if err != nil {
		return b, fmt.Errorf("%s has neither go.mod nor pushd: %w", dir, err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return b, fmt.Errorf("read %s: %w", f.Name(), err)
	}
	b.hash = hex.EncodeToString(h.Sum(nil))[:12]
	return b, nil
}
