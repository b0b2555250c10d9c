package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
)

// baseServerName is the argument that makes this program the base server.
const baseServerName = "base-server"

// serveBase is the unit of the bars: what a server that does nothing pays for a device's
// connection and request. The certificate chain is verified inside the handshake, and
// session tickets are issued as dps issues them.
func serveBase(args []string, errs io.Writer) int {
	flags := flag.NewFlagSet(baseServerName, flag.ContinueOnError)
	flags.SetOutput(errs)
	address := flags.String("address", "", "host:port")
	cert := flags.String("cert", "", "server certificate chain (PEM)")
	key := flags.String("key", "", "its key (PEM)")
	clients := flags.String("clients", "", "root of client certificates (PEM); empty: none are asked for")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	config, err := baseTLS(*cert, *key, *clients)
	if err == nil {
		err = baseServer(*address, config).ListenAndServeTLS("", "")
	}
	_, _ = fmt.Fprintln(errs, err)
	return 1
}

func baseServer(address string, config *tls.Config) *http.Server {
	return &http.Server{
		Addr: address, TLSConfig: config, ErrorLog: nil,
		Handler:      http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}),
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
	}
}

func baseTLS(certFile, keyFile, clients string) (*tls.Config, error) {
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}, NextProtos: []string{"http/1.1"}}
	var ticket [32]byte
	if _, err := rand.Read(ticket[:]); err != nil {
		return nil, err
	}
	c.SetSessionTicketKeys([][32]byte{ticket})
	if clients == "" {
		return c, nil
	}
	text, err := os.ReadFile(clients)
	if err != nil {
		return nil, fmt.Errorf("read client root: %w", err)
	}
	c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	if !c.ClientCAs.AppendCertsFromPEM(text) {
		return nil, errors.New("the client root is no PEM")
	}
	return c, nil
}
