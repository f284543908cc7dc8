/**
 * The part of the WebAssembly JavaScript interface that we use (https://webassembly.github.io/spec/js-api/).
 *
 * TypeScript declares it only together with the whole DOM, and the folders that must not see the DOM, or Node, need it.
 */
declare namespace WebAssembly {
  interface Memory {
    /** Detached and replaced whenever the memory grows: never keep it across a call into the module. */
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  var Memory: { prototype: Memory; new (limits: MemoryDescriptor): Memory };
  interface MemoryDescriptor {
    initial: number;
    maximum?: number;
    shared?: boolean;
  }

  interface Table {
    readonly length: number;
    get(index: number): unknown;
    set(index: number, value?: unknown): void;
    grow(entries: number, value?: unknown): number;
  }

  interface Global {
    value: unknown;
  }

  type ExportValue = ((...args: never[]) => unknown) | Global | Memory | Table;
  type Exports = Record<string, ExportValue>;
  type ImportValue = ExportValue | number;
  type ModuleImports = Record<string, ImportValue>;
  type Imports = Record<string, ModuleImports>;

  interface ModuleImportDescriptor {
    readonly module: string;
    readonly name: string;
    readonly kind: "function" | "global" | "memory" | "table";
  }
  interface ModuleExportDescriptor {
    readonly name: string;
    readonly kind: "function" | "global" | "memory" | "table";
  }

  // Says nothing, so that it merges with the declaration that @types/emscripten brings.
  interface Module {}
  var Module: {
    prototype: Module;
    new (bytes: ArrayBuffer | ArrayBufferView): Module;
    exports(module: Module): ModuleExportDescriptor[];
    imports(module: Module): ModuleImportDescriptor[];
  };

  interface Instance {
    readonly exports: Exports;
  }
  var Instance: { prototype: Instance; new (module: Module, imports?: Imports): Instance };

  interface WebAssemblyInstantiatedSource {
    readonly instance: Instance;
    readonly module: Module;
  }

  interface CompileError extends Error {}
  var CompileError: { prototype: CompileError; new (message?: string): CompileError };
  interface LinkError extends Error {}
  var LinkError: { prototype: LinkError; new (message?: string): LinkError };
  interface RuntimeError extends Error {}
  var RuntimeError: { prototype: RuntimeError; new (message?: string): RuntimeError };

  function compile(bytes: ArrayBuffer | ArrayBufferView): Promise<Module>;
  function instantiate(module: Module, imports?: Imports): Promise<Instance>;
  function instantiate(
    bytes: ArrayBuffer | ArrayBufferView,
    imports?: Imports,
  ): Promise<WebAssemblyInstantiatedSource>;
  function validate(bytes: ArrayBuffer | ArrayBufferView): boolean;
}
