package proxy

import (
	"crypto/tls"
	"os"
	"path/filepath"

	"holdfast/pkg/grip"
	"holdfast/pkg/route"
)

// RouteOptions is how a routes file in the directory dir is read, so that keys and files that it names are checked with it.
func RouteOptions(dir string, skipUnserved bool) route.Options {
	return route.Options{
		SkipUnserved: skipUnserved,
		SigKey: func(spec string) (warning string, err error) {
			key, err := parseSigKey(dir, spec)
			if err != nil {
				return "", err
			}
			return key.Warning(), nil
		},
		ClientCert: func(certificate, key string) error {
			_, err := tls.LoadX509KeyPair(beside(dir, certificate), beside(dir, key))
			return err
		},
	}
}

func parseSigKey(dir, spec string) (*grip.SigKey, error) {
	return grip.ParseSigKey(spec, func(path string) ([]byte, error) { return os.ReadFile(beside(dir, path)) })
}

// beside is a file that the routes file in dir names.
func beside(dir, name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(dir, name)
}
