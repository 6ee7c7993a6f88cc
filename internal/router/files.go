package router

import (
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// syscallConn is a file that can be handed on. Its descriptor is used where it
// is: [os.File.Fd] of a copy would make the socket blocking for both.
type syscallConn interface {
	SyscallConn() (syscall.RawConn, error)
}

// sendFile sends a byte with a file.
func sendFile(conn *net.UnixConn, f syscallConn) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, _, sent = conn.WriteMsgUnix([]byte{'f'}, unix.UnixRights(int(fd)), nil)
	})
	if err == nil {
		err = sent
	}
	return err
}

// receiveFile is the other side of it.
func receiveFile(conn *net.UnixConn) (*os.File, error) {
	b, oob := make([]byte, 1), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := conn.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return nil, err
	}
	if n != 1 || len(messages) != 1 {
		return nil, unix.EPROTO
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	if len(files) != 1 {
		return nil, unix.EPROTO
	}
	unix.CloseOnExec(files[0])
	return os.NewFile(uintptr(files[0]), "handed over"), nil
}

func receiveListener(conn *net.UnixConn) (net.Listener, error) {
	f, err := receiveFile(conn)
	if err != nil {
		return nil, err
	}
	defer f.Close() // the listener has its own
	return net.FileListener(f)
}
