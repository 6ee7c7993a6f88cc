package pin_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/pin"
)

func TestScan_added(t *testing.T) {
	const (
		moves  = ": a web server may answer something else tomorrow: give --checksum=sha256:…, or commit the file"
		commit = "0123456789abcdef0123456789abcdef01234567"
	)
	for _, c := range []struct {
		what, src string
		want      []string
	}{
		{"files of the repository", "ADD a.tar b /x/\nADD [\"a b\", \"/x/\"]\nADD --chown=1:1 https /x\nADD $DIR/a /x\nCOPY https://example.com/a /b\nADD a https://example.com/b\nADD <<EOF /x\nADD https://example.com/a /b\nEOF\n",
			[]string{"4 module $DIR/a: the build argument DIR has no value in the file, and it may be an address: write it out, or COPY what is in the repository"}},
		{"files of the web", "ADD https://example.com/a /b\nADD --chown=1:1 a HTTP://example.com/b /c/\nadd [\"https://ana:hunter2@example.com/a?token=x\", \"/b\"]\nONBUILD ADD 'https://example.com/d' /d\nADD \\\n  https://example.com/e \\\n  /e\n",
			[]string{"1 module https://example.com/a" + moves, "2 module HTTP://example.com/b" + moves, "3 module https://example.com/a?token=(hidden)" + moves, "4 module https://example.com/d" + moves, "5 module https://example.com/e" + moves}},
		{"what a checksum holds", "FROM scratch\nADD --checksum=" + sum + " https://example.com/a /b\nARG SUM=" + sum + "\nADD --checksum=$SUM --chown=1 https://example.com/$V /b\nADD --checksum=sha256:12 https://example.com/c /d\nADD --checksum=$NONE https://example.com/e /f\n",
			[]string{"5 module https://example.com/c" + moves, "6 module https://example.com/e" + moves}},
		{"values", "ARG HOST=https://example.com\nFROM scratch AS base\nARG HOST\nENV DIR=/a NAME=\"b\"\nADD $HOST/a /b\nFROM base\nENV NAME /c\nADD $NAME /d\nADD ${HOST}/a /b\nFROM scratch\nADD a$HOST /b\nADD h$OTHER /b\nADD $HOST/a /b\n",
			[]string{
				"12 module h$OTHER: the build argument OTHER has no value in the file, and it may be an address: write it out, or COPY what is in the repository",
				"13 module $HOST/a: the build argument HOST has no value in the file, and it may be an address: write it out, or COPY what is in the repository",
				"5 module https://example.com/a" + moves, "9 module https://example.com/a" + moves,
			}},
		{"values that docker has otherwise", "FROM scratch\nENV U=https://example.com/x\nARG U=./local\nADD $U /\nENV U=./a B=$U\nADD $B /\nADD $U /\nARG HOST\nADD git@$HOST:team/net.git#main /src\nARG SPACE=\"https://example.com/a b\"\nADD $SPACE /\nFROM scratch AS c\nENV W=https://example.com/w\nFROM C\nADD $W /\n",
			[]string{
				"11 module https://example.com/a b" + moves, "15 module https://example.com/w" + moves, "4 module https://example.com/x" + moves, "6 module https://example.com/x" + moves,
				"9 module git@$HOST:team/net.git#main: the build argument HOST has no value in the file, and it may be an address: write it out, or COPY what is in the repository",
			}},
		{"git", "ADD https://git.example.com/net.git#v1.2:sub/dir /b\nADD git@git.example.com:acme/net.git#" + commit + " /b\nADD https://git.example.com/net.git?tag=v2&subdir=a /b\nADD --checksum=" + commit + " https://git.example.com/net.git#v3 /b\n" +
			"ADD https://git.example.com/net.git /b\nADD git://git.example.com/net.git#v1 /b\nADD https://git.example.com/net.git#$REF /b\nADD https://git.example.com/net.git?sshkey=x /b\nADD https://git.example.com/net.git/archive.tar /b\n",
			[]string{
				"1 module git::https://git.example.com/net.git//sub/dir?ref=v1.2", "2 module git::git@git.example.com:acme/net.git?ref=" + commit,
				"3 module git::https://git.example.com/net.git//a?ref=refs/tags/v2", "4 module git::https://git.example.com/net.git?ref=" + commit,
				"5 module git::https://git.example.com/net.git",
				"6 module git::git://git.example.com/net.git?ref=v1: its address begins with none of https://, http://, ssh://, file://",
				"7 module https://git.example.com/net.git#$REF: the build argument REF has no value in the file, and it may be an address: write it out, or COPY what is in the repository",
				"8 module https://git.example.com/net.git?sshkey=(hidden)" + moves,
				"9 module https://git.example.com/net.git/archive.tar" + moves,
			}},
	} {
		t.Run(c.what, func(t *testing.T) {
			if diff := cmp.Diff(c.want, lines(pin.Scan("Dockerfile", []byte(c.src)))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What thousands of stages have from one another takes no memory.
func TestScan_manyStages(t *testing.T) {
	var b strings.Builder
	b.WriteString("FROM a:1 AS s0\n")
	for i := range 20_000 {
		fmt.Fprintf(&b, "ENV V%d=x\n", i)
	}
	for i := range 20_000 {
		fmt.Fprintf(&b, "FROM s0 AS s%d\n", i+1)
	}
	b.WriteString("ADD $V1 /x\n")
	found := lines(pin.Scan("Dockerfile", []byte(b.String())))
	want := []string{"1 image a:1", "40002 module $V1: the build argument V1 has no value in the file, and it may be an address: write it out, or COPY what is in the repository"}
	if diff := cmp.Diff(want, found); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
