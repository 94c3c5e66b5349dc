/* On a narrow screen, equations that are too wide become smaller, and the caption of a figure that scrolls says so. */
"use strict";

(() => {
  const SMALLEST = 0.7;  // of the usual size; wider equations scroll

  function fitEquations() {
    for (const equation of document.querySelectorAll("div.math mjx-container")) {
      equation.style.fontSize = "";
      const usual = parseFloat(getComputedStyle(equation).fontSize), drawing = equation.querySelector("svg");
      for (let size = usual, turn = 0; drawing && turn < 4 && size > SMALLEST * usual; turn++) {
        const wide = drawing.getBoundingClientRect().width, room = equation.clientWidth;
        if (!room || wide <= room) break;
        size = Math.max(SMALLEST * usual, size * Math.min(0.97, room / wide));  // browsers round the height of an x
        equation.style.fontSize = `${size}px`;
      }
    }
  }

  function markScrolling() {
    for (const figure of document.querySelectorAll("main figure")) {
      const box = figure.closest(".cell_output") || figure;
      figure.classList.toggle("scrolls", box.clientWidth > 0 && box.scrollWidth > box.clientWidth + 3);
    }
  }

  addEventListener("load", async () => {
    await window.MathJax?.startup?.promise;
    const fit = () => { fitEquations(); markScrolling(); };
    fit();
    let width = innerWidth;
    addEventListener("resize", () => {
      if (innerWidth === width) return;  // the bar of a phone's browser came or went
      width = innerWidth;
      fit();
    });
  });
})();
