// Command receiver takes lifecycle events of dps and appends them to a file, a line each.
// See docs/events.md.
package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("receiver", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8091", "address to listen on")
	out := flags.String("out", "events.ndjson", "file to append to")
	secrets := flags.String("secret-file", "", "file with the secrets that requests may be signed with, one to a line")
	cert := flags.String("cert", "", "PEM of the server's certificate; empty: no TLS, for loopback alone")
	key := flags.String("key", "", "PEM of its private key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	text, err := os.ReadFile(*secrets)
	if err != nil {
		return fmt.Errorf("read secrets: %w", err)
	}
	r := &receiver{secrets: strings.Fields(string(text)), path: *out, now: time.Now}
	if err := r.recall(); err != nil {
		return err
	}
	server := &http.Server{Addr: *listen, Handler: r, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	fmt.Println("receiver: listening on", *listen)
	if *cert == "" {
		return server.ListenAndServe()
	}
	return server.ListenAndServeTLS(*cert, *key)
}
