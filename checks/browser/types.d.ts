/** The forms of what the page and the server tell each other; docs/websocket.md has them in words. */

type Role = 'viewer' | 'operator' | 'admin';

interface Session {
  user: string;
  role: Role;
  /** The end of the access token, in seconds since 1970. */
  expires?: number;
}

interface Change {
  plugin?: string;
  resource: string;
  verb: 'create' | 'update' | 'delete';
  before?: unknown;
  after?: unknown;
  text?: string;
  /** Whether data may be lost. */
  destroys?: boolean;
}

interface Column {
  key: string;
  title?: string;
  align?: string;
}

interface TreeNode {
  label: string;
  value?: unknown;
  children?: TreeNode[];
}

interface Series {
  name: string;
  unit: string;
  /** Seconds or milliseconds since 1970, value. */
  points: Array<[number, number]>;
}

type Answer =
  | { kind: 'table'; columns: Column[]; rows: Array<Record<string, unknown> | unknown[]>; left_out?: number }
  | { kind: 'tree'; root: TreeNode }
  | { kind: 'plot'; series: Series[] }
  | { kind: 'value'; value: unknown }
  | { kind: 'text'; text: string };

/** A message of the server on `/ws`; which fields there are depends on `type`. */
interface ServerEvent {
  type: string;
  content: string;
  timestamp: string;
  tools_used: string[];
  seq?: number;
  id?: string;
  in_reply_to?: string;
  user?: string;
  role?: Role;
  version?: string;
  resumed?: boolean;
  next_seq?: number;
  conversation?: string;
  raw?: unknown;
  raw_bytes?: number;
  notes?: string[];
  window?: { seconds_left: number; run?: string } | null;
  html?: string;
  answer?: Answer;
  understood?: string;
  alternatives?: Array<{ sentence: string; tool: string }>;
  message?: string;
  call?: string;
  tool?: string;
  title?: string;
  effect?: string;
  arguments?: Record<string, unknown>;
  status?: 'running' | 'done' | 'failed' | 'cancelled' | 'unknown';
  duration_ms?: number;
  entry?: number | null;
  error?: { code?: string; message?: string; problems?: Array<Record<string, string>> };
  text?: string;
  done?: number;
  total?: number;
  plan?: string;
  hash?: string;
  changes?: Change[];
  confirm_name?: string;
  expires?: string;
  sentence?: string;
  decision?: string;
  by?: string;
  seconds_left?: number;
  run?: string;
  topic?: string;
  value?: unknown;
  code?: string;
}

/** What the conversation shows as one thing. */
interface Item {
  key: string;
  kind: 'user' | 'assistant' | 'stream' | 'tool' | 'plan' | 'error';
  event: ServerEvent;
  /** Not told back by the server yet. */
  pending?: boolean;
  progress?: ServerEvent;
  approval?: ServerEvent;
}

interface Completion {
  text: string;
  title?: string;
}

/** As much of JSON Schema as forms are made of. */
interface Schema {
  type?: string | string[];
  description?: string;
  default?: unknown;
  const?: unknown;
  enum?: unknown[];
  oneOf?: Schema[];
  anyOf?: Schema[];
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  writeOnly?: boolean;
}

interface Tool {
  name: string;
  title: string;
  description: string;
  domain: string;
  effect: 'read' | 'write' | 'destroy';
  role: Role;
  input_schema: Schema;
  examples: Array<Record<string, unknown>>;
  sentences?: string[];
}

interface Container {
  name: string;
  state: string;
  network: string;
  address: string;
  template: string;
  memory: string;
  made_by: string;
}

interface TopologyNode {
  id: string;
  kind: 'host' | 'bridge' | 'port' | 'container' | 'tunnel' | 'peer' | 'hop' | 'uplink' | 'internet';
  label: string;
  state?: string;
  detail?: unknown;
}

interface TopologyLink {
  from: string;
  to: string;
  kind?: string;
  label?: string;
}

interface Entry {
  id: number;
  /** Seconds since 1970. */
  timestamp: number;
  operation: string;
  target: string;
  previous_hash?: string | null;
  current_hash?: string;
  metadata?: Record<string, any>;
}

interface Snapshot {
  name: string;
  created: string;
  reason?: string | null;
}
