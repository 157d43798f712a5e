// A canvas to draw on with mouse, pen or finger, white on black. Sends the drawing as a small PNG
// after every stroke; Python decides what to do with it.

const SHELL = `
  <canvas width="280" height="280" role="img"></canvas>
  <button type="button">Clear</button>
  <p role="status" aria-live="polite"></p>`;
const PEN = 24; // of 280 pixels: about as thick as a pen's stroke once scaled

const boards = new WeakMap();

export default function render({ data, parentElement, setStateValue }) {
  if (!boards.has(parentElement)) boards.set(parentElement, mount(parentElement));
  const board = boards.get(parentElement);
  board.side = data.side;
  ask(board, `Draw a ${data.noun}`);
  board.send = (drawing) => setStateValue("drawing", drawing);
  return () => {
    board.root.remove();
    boards.delete(parentElement);
  };
}

function mount(parentElement) {
  parentElement.querySelector(".drawing-canvas")?.remove();
  const root = document.createElement("div");
  root.className = "drawing-canvas";
  root.innerHTML = SHELL;
  parentElement.append(root);
  const canvas = root.querySelector("canvas");
  const pen = canvas.getContext("2d");
  pen.lineWidth = PEN;
  pen.lineCap = pen.lineJoin = "round";
  pen.strokeStyle = "#fff";
  const board = { root, canvas, pen, status: root.querySelector("p"), pointer: null, at: null };
  board.request = ""; // what the person is asked to draw
  wipe(board);
  canvas.addEventListener("pointerdown", (event) => begin(board, event));
  canvas.addEventListener("pointermove", (event) => move(board, event));
  canvas.addEventListener("pointerup", (event) => end(board, event));
  canvas.addEventListener("pointercancel", (event) => end(board, event));
  root.querySelector("button").addEventListener("click", () => {
    wipe(board);
    board.status.textContent = `${board.request}.`;
    board.send("");
  });
  return board;
}

function ask(board, request) {
  if (board.request === request) return;
  board.request = request;
  board.canvas.setAttribute("aria-label", `${request} here with mouse, pen or finger`);
  board.status.textContent = `${request}.`;
}

function wipe({ pen, canvas }) {
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

function begin(board, event) {
  if (board.pointer !== null || event.button !== 0) return;
  event.preventDefault();
  board.canvas.setPointerCapture(event.pointerId);
  board.pointer = event.pointerId;
  board.at = place(board, event);
  line(board, board.at); // a dot
}

function move(board, event) {
  if (event.pointerId !== board.pointer) return;
  for (const part of event.getCoalescedEvents?.() ?? [event]) line(board, place(board, part));
}

function end(board, event) {
  if (event.pointerId !== board.pointer) return;
  board.pointer = null;
  board.status.textContent = "Keep drawing, or clear.";
  board.send(small(board));
}

function place({ canvas }, event) {
  const box = canvas.getBoundingClientRect();
  const scale = canvas.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

function line(board, to) {
  const { pen } = board;
  pen.beginPath();
  pen.moveTo(...board.at);
  pen.lineTo(...to);
  pen.stroke();
  board.at = to;
}

function small({ canvas, side }) {
  const copy = document.createElement("canvas");
  copy.width = copy.height = side;
  copy.getContext("2d").drawImage(canvas, 0, 0, side, side);
  return copy.toDataURL("image/png");
}
