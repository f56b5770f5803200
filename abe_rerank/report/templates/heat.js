"use strict";
// Paints a patch map into a canvas of one pixel a patch: clear where the level is high, dark where it is low, so that
// the colours of the picture stay what they are.
function paintHeat(canvas) {
  const rows = Number(canvas.dataset.rows), columns = Number(canvas.dataset.columns);
  const levels = atob(canvas.dataset.levels);
  const veil = new ImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    veil.data.set([10, 12, 20, Math.round(0.8 * (255 - levels.charCodeAt(k)))], 4 * k);
  }
  canvas.width = columns;
  canvas.height = rows;
  canvas.getContext("2d").putImageData(veil, 0, 0);
}
