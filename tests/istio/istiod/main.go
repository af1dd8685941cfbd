// Command istiod is the real control plane of Istio, fed from a folder of manifests instead of a
// Kubernetes API: the server of istio.io/istio/pilot/pkg/bootstrap with its file store, and with the
// translation of WasmPlugin to TrafficExtension, which that server wires up only beside a Kubernetes
// API. It needs such an API to be there, so it has Istio's own fake, which is empty. Nothing else is
// added: validation, translation and what gateways are sent are Istio's.
package main

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"time"
	"unsafe"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pilot/pkg/config/kube/extensions"
	"istio.io/istio/pilot/pkg/config/kube/file"
	"istio.io/istio/pilot/pkg/model"
	"istio.io/istio/pkg/cmd"
	"istio.io/istio/pkg/config/constants"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/log"
)

func main() {
	manifests := flag.String("manifests", "", "folder of the manifests to serve")
	mesh := flag.String("mesh", "", "file with the mesh configuration")
	discovery := flag.String("discovery", "127.0.0.1:0", "address for gateways (xDS, clear text)")
	http := flag.String("http", "127.0.0.1:0", "address of /ready and /debug")
	monitoring := flag.String("monitoring", "127.0.0.1:0", "address of /metrics")
	flag.Parse()
	if err := serve(*manifests, *mesh, *discovery, *http, *monitoring); err != nil {
		fmt.Fprintln(os.Stderr, "istiod:", err)
		os.Exit(1)
	}
}

func serve(manifests, mesh, discovery, http, monitoring string) error {
	if err := log.Configure(log.DefaultOptions()); err != nil {
		return err
	}
	empty, err := os.MkdirTemp("", "istiod-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(empty)
	args := bootstrap.NewPilotArgs(func(args *bootstrap.PilotArgs) {
		args.MeshConfigFile = mesh
		args.ServerOptions = bootstrap.DiscoveryServerOptions{
			HTTPAddr:       http,
			GRPCAddr:       discovery,
			MonitoringAddr: monitoring,
			TLSOptions:     bootstrap.TLSOptions{TLSMinVersion: bootstrap.TLSMinVersion1_2},
		}
		// The server's own store of files, without the translation, has nothing to read.
		args.RegistryOptions.FileDir = empty
		args.RegistryOptions.KubeOptions.DomainSuffix = constants.DefaultClusterLocalDomain
		args.ShutdownDuration = time.Second
	})
	if err := args.Complete(); err != nil {
		return err
	}
	files, err := file.NewController(manifests, constants.DefaultClusterLocalDomain, collections.Pilot,
		args.RegistryOptions.KubeOptions)
	if err != nil {
		return err
	}
	server, err := bootstrap.NewServer(args, func(server *bootstrap.Server) {
		setKubeClient(server, kube.NewFakeClient())
		translated := extensions.NewController(files, laterUpdater{server: server}, args.KrtDebugger)
		server.ConfigStores = append(server.ConfigStores, files, translated)
	})
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	if err := server.Start(stop); err != nil {
		return err
	}
	cmd.WaitSignal(stop)
	server.WaitUntilCompletion()
	return nil
}

// setKubeClient sets what only the server's own tests can set otherwise.
func setKubeClient(server *bootstrap.Server, client kube.Client) {
	field := reflect.ValueOf(server).Elem().FieldByName("kubeClient")
	reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem().Set(reflect.ValueOf(client))
}

// laterUpdater hands changes to the server's discovery half, which is made after the stores. Changes
// before that are part of its first state.
type laterUpdater struct {
	model.XDSUpdater
	server *bootstrap.Server
}

func (updater laterUpdater) ConfigUpdate(request *model.PushRequest) {
	if updater.server.XDSServer != nil {
		updater.server.XDSServer.ConfigUpdate(request)
	}
}
