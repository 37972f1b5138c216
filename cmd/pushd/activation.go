package main

import (
	"fmt"
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/activation"

	"holdfast/cmd/internal/app"
)

// Names of the sockets that systemd may hand over (FileDescriptorName= of the socket units in scripts).
const (
	clientsName = "clients"
	publishName = "publish"
	metricsName = "metrics"
	controlName = "control"
)

// systemd is the service manager, if pushd was started by it.
type systemd struct{}

// notifyTime bounds how long a service manager may take to be told something.
const notifyTime = time.Second

// Notify tells systemd a state (sd_notify(3)); without systemd it does nothing. It does not wait
// long for a systemd that does not read.
func (systemd) Notify(state string) error {
	to := &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"}
	if to.Name == "" {
		return nil
	}
	conn, err := net.DialUnix(to.Net, nil, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(notifyTime)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}

// inherit takes the sockets that systemd has opened in place of those that pushd would open by default. given tells whether a
// setting was given.
func (e *effective) inherit(given func(name string) bool) error {
	for _, f := range activation.Files(true) {
		addr, err := listensOn(f)
		if err != nil {
			return fmt.Errorf("socket %q of the service manager: %w", f.Name(), err)
		}
		switch name := f.Name(); {
		case name == clientsName:
			e.ListenFiles = append(e.ListenFiles, f)
			e.inherited = append(e.inherited, addr.String())
		case name == publishName && e.PublishFile == nil && !given("publish-listen"):
			e.PublishFile, e.PublishListen = f, addr.String()
		case name == metricsName && e.MetricsFile == nil && !given("metrics-listen"):
			e.MetricsFile, e.MetricsListen = f, addr.String()
		case name == controlName && e.SocketFile == nil && !given("socket"):
			e.SocketFile, e.Socket = f, addr.String()
		case name == publishName || name == metricsName || name == controlName:
			return app.Usagef("socket %q of the service manager (%s) is one too many: give one, and no option for it", name, addr)
		default:
			return app.Usagef("socket %q of the service manager (%s): its name must be %s, %s, %s or %s", name, addr, clientsName, publishName,
				metricsName, controlName)
		}
	}
	if len(e.ListenFiles) > 0 && !given("listen") {
		e.Listen = nil
	}
	return nil
}

// listensOn returns the address on which f listens.
func listensOn(f *os.File) (net.Addr, error) {
	ln, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	defer ln.Close()
	return ln.Addr(), nil
}
