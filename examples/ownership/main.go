// Command ownership is an allocation webhook: it sends each device to the hub of the
// customer who bought it, by the sales records of its maker. See README.md.
package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "ownership:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	flags := flag.NewFlagSet("ownership", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8090", "address to listen on")
	sales := flags.String("sales", "sales.csv", "CSV of serial,customer; the last line of a serial counts")
	customers := flags.String("customers", "customers.csv", "CSV of customer,hub")
	secret := flags.String("secret-file", "", "file with the secret that requests must be signed with; empty: any request is taken")
	cert := flags.String("cert", "", "PEM of the server's certificate; empty: no TLS, for loopback alone")
	key := flags.String("key", "", "PEM of its private key")
	if err := flags.Parse(args); err != nil {
		return err
	}
	w := &webhook{records: &records{sales: *sales, customers: *customers}, now: time.Now}
	if *secret != "" {
		text, err := os.ReadFile(*secret)
		if err != nil {
			return fmt.Errorf("read secret: %w", err)
		}
		w.secret = []byte(strings.TrimSpace(string(text)))
	}
	if _, err := w.records.hubOf(""); err != nil && !errors.Is(err, errUnsold) {
		return err // now rather than at the first device
	}
	server := &http.Server{Addr: *listen, Handler: w, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second}
	fmt.Println("ownership: listening on", *listen)
	if *cert == "" {
		return server.ListenAndServe()
	}
	return server.ListenAndServeTLS(*cert, *key)
}
